"""Whom we believe, and what they may say (forwarded_allow_ips)."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkful.handlers.asgi import Receive, Scope, Send
from forkful.handlers.wsgi import Environ
from forkful.worker.http.forwarded import Origin, origin
from forkful.worker.net.trust import Trust
from tests.unit.worker.http.doors import AsgiDoor
from tests.unit.worker.http.wire import Client

TRUST = Trust.parse(["127.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("host", "believed"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("11.0.0.1", False),
        ("::1", True),
        ("::ffff:10.0.0.1", True),
        ("::ffff:11.0.0.1", False),
        ("2001:db8::5%eth0", True),
        ("", True),
        ("unix", False),
    ],
)
def test_who_is_believed(host: str, believed: bool) -> None:
    assert TRUST.believes(host) is believed
    assert Trust.parse(["*"]).believes(host)
    assert not Trust.parse([""]).believes(host)


def test_an_address_that_is_none_is_told_at_the_start() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/99"):
        Trust.parse(["10.0.0.0/99"])


@pytest.mark.parametrize(
    ("forwarded", "for_", "proto", "wanted"),
    [
        ("", "192.0.2.1", "https", Origin("192.0.2.1", "", "https")),
        ("", "192.0.2.1:99", "", Origin("192.0.2.1", "99")),
        ("", "6.6.6.6, 192.0.2.1", "", Origin("192.0.2.1")),
        ("", "6.6.6.6, 192.0.2.1, 10.0.0.1", "http, https", Origin("192.0.2.1", "", "https")),
        ("", "10.0.0.3, 10.0.0.2", "", Origin("10.0.0.3")),
        ("", "2001:db9::1", "", Origin("2001:db9::1")),
        ("", "[2001:db9::1]:80", "", Origin("2001:db9::1", "80")),
        ("", "unknown", "", Origin()),
        ("", "x, 192.0.2.1", "", Origin("192.0.2.1")),
        ("", "192.0.2.1, x", "", Origin()),
        ("", "192.0.2.1, ,", "", Origin("192.0.2.1")),
        ("", ",,", "", Origin()),
        ("", "192.0.2.1:0", "", Origin("192.0.2.1", "0")),
        ("", "192.0.2.1:65536", "", Origin("192.0.2.1")),
        ("", "192.0.2.1:" + "9" * 5000, "", Origin("192.0.2.1")),
        ("", "192.0.2.1:-1", "", Origin("192.0.2.1")),
        ("", "192.0.2.1:8\xb2", "", Origin("192.0.2.1")),
        ("", "192.0.2.1:80:81", "", Origin()),
        ("", "192.0.2.256", "", Origin()),
        ("", "0300.0.2.1", "", Origin()),
        ("", "[2001:db9::1", "", Origin("2001:db9::1")),
        ("", "fe80::1%<script>", "", Origin("fe80::1")),
        ("", "192.0.2.1%eth0", "", Origin("192.0.2.1")),
        ("", "::ffff:192.0.2.1", "", Origin("192.0.2.1")),
        ("", "6.6.6.6, ::ffff:10.0.0.1, ::1", "", Origin("6.6.6.6")),
        ("", "192.0.2.1, x, 10.0.0.1", "", Origin("10.0.0.1")),
        ("", "", "gopher", Origin()),
        ("", "", "HTTPS", Origin("", "", "https")),
        ("", "", " https ", Origin("", "", "https")),
        ("", "", "wss", Origin("", "", "https")),
        ("", "", "ws", Origin("", "", "http")),
        ("", "", "https,", Origin()),
        ("", "", "https;x", Origin()),
        ("", "", "https, http", Origin("", "", "http")),
        ("for=192.0.2.1;proto=https", "", "", Origin("192.0.2.1", "", "https")),
        # a client's own, which proxies that write X-Forwarded-For pass on
        ("for=6.6.6.6;proto=https", "192.0.2.1", "http", Origin("192.0.2.1", "", "http")),
        ("for=6.6.6.6;proto=https, for=7.7.7.7", "192.0.2.1", "", Origin("192.0.2.1")),
        ("for=192.0.2.1;proto=https", "", "http", Origin("192.0.2.1", "", "http")),
        ('for=6.6.6.6;x=", for="192.0.2.1"', "", "", Origin()),
        ('for=6.6.6.6;x=", for=192.0.2.1', "", "", Origin()),
        ("for=6.6.6.6, , ;, for=192.0.2.1;", "", "", Origin("192.0.2.1")),
        ("for = 192.0.2.1 ; proto = http", "", "", Origin("192.0.2.1", "", "http")),
        ("x" * 100_000, "", "", Origin()),
        ('"' * 100_001, "", "", Origin()),
        (";" * 100_000 + " " * 100_000, "", "", Origin()),
        ('for="[2001:db9::1]:80";by=x', "", "", Origin("2001:db9::1", "80")),
        ("for=6.6.6.6, For=192.0.2.1;Proto=HTTPS, for=10.0.0.1", "", "", Origin("192.0.2.1", "", "https")),
        ("for=_hidden", "", "https", Origin("", "", "https")),
        ('for="6.6.6.6, for=7.7.7.7", for=192.0.2.1', "", "", Origin("192.0.2.1")),
    ],
)
def test_what_a_proxy_says(forwarded: str, for_: str, proto: str, wanted: Origin) -> None:
    assert origin(TRUST, forwarded=forwarded, for_=for_, proto=proto) == wanted


WORDS = ["for", "by", "proto", *'=;, "[]:%', "192.0.2.1", "10.0.0.1", "::1", "80", "unknown", "_x", "\\", "\xff"]
GARBAGE = st.lists(st.sampled_from(WORDS) | st.characters(max_codepoint=255), max_size=30).map("".join)


@settings(max_examples=200, deadline=None)
@given(GARBAGE, GARBAGE, GARBAGE)
def test_whatever_is_said_is_an_address_or_nothing(forwarded: str, for_: str, proto: str) -> None:
    said = origin(TRUST, forwarded=forwarded, for_=for_, proto=proto)

    assert re.fullmatch(r"[0-9a-f.:]*", said.host)
    assert re.fullmatch(r"[0-9]{0,5}", said.port)
    assert said.scheme in ("", "http", "https")


@settings(max_examples=200, deadline=None)
@given(GARBAGE)
def test_what_a_proxy_adds_is_never_part_of_what_its_client_said(said: str) -> None:
    for added in ("for=192.0.2.9", 'for="192.0.2.9"', 'by="[::1]";for="[2001:db9::1]:80"'):
        found = origin(TRUST, forwarded=f"{said}, {added}", for_="", proto="")
        assert found.host in ("", "192.0.2.9", "2001:db9::1")


def test_an_environ_behind_a_proxy_and_without_one() -> None:
    seen: list[Environ] = []

    def app(environ: Environ, start: object) -> list[bytes]:
        seen.append(environ)
        start("200 OK", [])  # type: ignore[operator]  # as PEP 3333 has it
        return [b""]

    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n"
    for trust in ("192.0.2.0/24", "10.0.0.1"):
        Client(app, trust=trust).say(request, request, request)

    assert [environ["REMOTE_ADDR"] for environ in seen] == ["6.6.6.6"] * 3 + ["192.0.2.7"] * 3
    assert [environ["wsgi.url_scheme"] for environ in seen] == ["https"] * 3 + ["http"] * 3
    assert all(environ["HTTP_X_FORWARDED_FOR"] == "6.6.6.6" for environ in seen), "untrusted ones are left alone"
    assert not any("forkful" in key for environ in seen for key in environ)


@pytest.mark.parametrize(
    ("fields", "client", "scheme"),
    [
        (b"", "192.0.2.7:4711", "http"),
        (b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n", "6.6.6.6:0", "https"),
        (b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7:80\r\n", "7.7.7.7:80", "http"),
        (b"X-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 192.0.2.8\r\n", "6.6.6.6:0", "http"),
        (b"X-Forwarded-For: 6.6.6.6:" + b"9" * 5000 + b"\r\n", "6.6.6.6:0", "http"),
        (b"X_Forwarded_For: 6.6.6.6\r\n", "192.0.2.7:4711", "http"),
        (b"X-Forwarded-For: \xff\r\nX-Forwarded-Proto: \xff\r\n", "192.0.2.7:4711", "http"),
        (b"Forwarded: for=6.6.6.6\r\nForwarded: for=7.7.7.7;proto=https\r\n", "7.7.7.7:0", "https"),
        (b"Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\n", "7.7.7.7:0", "http"),
        (b"X-Forwarded-Proto: http\r\nX-Forwarded-Proto: wss\r\n", "192.0.2.7:4711", "https"),
    ],
)
def test_every_door_believes_the_same(fields: bytes, client: str, scheme: str) -> None:
    told = []

    def wsgi(environ: Environ, start: object) -> list[bytes]:
        told.append((f"{environ['REMOTE_ADDR']}:{environ['REMOTE_PORT'] or 0}", environ["wsgi.url_scheme"]))
        start("200 OK", [])  # type: ignore[operator]  # as PEP 3333 has it
        return [b""]

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        host, port = scope["client"]
        told.append((f"{host}:{port}", scope["scheme"]))
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    request = b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n"
    Client(wsgi, trust="192.0.2.0/24").say(request, request, request)
    with AsgiDoor(asgi, trust=Trust.parse(["192.0.2.0/24"])) as door:
        for _ in range(3):
            door.hear(request)
            door.settle()

    assert told == [(client, scheme)] * 6
