"""Whom we believe, and what they may say (forwarded_allow_ips)."""

import pytest

from forkful.handlers.wsgi import Environ
from forkful.worker.http_proxy import Origin, Trust, origin
from tests.unit.http.wire import Client

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
        ("", "192.0.2.1, x, 10.0.0.1", "", Origin("10.0.0.1")),
        ("", "", "gopher", Origin()),
        ("for=192.0.2.1;proto=https", "6.6.6.6", "", Origin("192.0.2.1", "", "https")),
        ('for="[2001:db9::1]:80";by=x', "", "", Origin("2001:db9::1", "80")),
        ("for=6.6.6.6, For=192.0.2.1;Proto=HTTPS, for=10.0.0.1", "", "", Origin("192.0.2.1", "", "https")),
        ("for=_hidden", "", "https", Origin("", "", "https")),
        ('for="6.6.6.6, for=7.7.7.7", for=192.0.2.1', "", "", Origin("192.0.2.1")),
    ],
)
def test_what_a_proxy_says(forwarded: str, for_: str, proto: str, wanted: Origin) -> None:
    assert origin(TRUST, forwarded=forwarded, for_=for_, proto=proto) == wanted


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
