"""The PROXY protocol: every kind of handler, and whoever counts and logs, sees the client that the header names."""

import json
import smtplib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import Ask, Serve
from tests.kit import proxy_headers as made
from tests.kit.door import Door, read_all
from tests.kit.server import Server
from tests.process.test_admission import wait_refused

V1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 4242 443\r\n"
V2 = made.v2(made.TCP4, made.tcp4(("203.0.113.7", 4242), ("198.51.100.1", 443)))
V6 = made.v2(made.TCP6, made.tcp6(("2001:db8::7", 4242), ("2001:db8::1", 443)))
CLIENT, SERVED = ["203.0.113.7", 4242], ["198.51.100.1", 443]

#: Handlers on every loop there is, with flags of their own.
STREAMS = {
    "a lane": ("proxied:Lane", ()),
    "a lane whose server has hooks": ("proxied:hooked()", ()),
    "lanes": ("proxied:Lane", ("--threads", "3")),
    "a lane with read_timeout": ("proxied:Lane", ("--read-timeout", "30")),
    "a coroutine": ("proxied:coroutine", ()),
    "a coroutine on asyncio": ("proxied:coroutine", ("--event-loop", "asyncio")),
    "a protocol": ("proxied:Protocol", ()),
    "a protocol on asyncio": ("proxied:Protocol", ("--event-loop", "asyncio")),
}
WEB = {
    "WSGI": ("proxied:wsgi", ("--interface", "wsgi")),
    "WSGI in threads": ("proxied:wsgi", ("--interface", "wsgi", "--threads", "3")),
    "WSGI on asyncio": ("proxied:wsgi", ("--interface", "wsgi", "--event-loop", "asyncio")),
    "ASGI": ("proxied:asgi", ("--interface", "asgi")),
    "ASGI on asyncio": ("proxied:asgi", ("--interface", "asgi", "--event-loop", "asyncio")),
}
ALL = STREAMS | WEB
SOME = {kind: ALL[kind] for kind in ("a lane", "a coroutine", "WSGI")}
LOOPS = {kind: ALL[kind] for kind in ("a lane", "a coroutine", "a protocol on asyncio", "WSGI")}
FROM_ELSEWHERE = ("--proxy-allow-from", "192.0.2.0/24,::1")


def said(kind: str, data: bytes) -> bytes:
    """This as a client of that kind of handler sends it."""
    if kind not in WEB:
        return data
    return b"POST / HTTP/1.0\r\nHost: here\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)


def ask(door: Door, *pieces: bytes) -> Any:  # Any: JSON
    """Send these, one after the other, and read what the handler says; None: it said nothing."""
    with door.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) if client.family != socket.AF_UNIX else None
        try:
            for piece in pieces:
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
            lines = read_all(client).splitlines()
        except OSError:  # reset, for we sent more than was read
            return None
    return json.loads(lines[-1]) if lines else None


@pytest.mark.parametrize("kind", ALL)
def test_every_kind_of_handler_sees_the_client_that_the_header_names(kind: str, share: Ask) -> None:
    mine = share(kind, ALL, "--proxy-protocol", "auto")
    data = b"x" * 65_535 + b"end."

    for header, client, served in (
        (V1, CLIENT, SERVED),
        (V2, CLIENT, SERVED),
        (V6, ["2001:db8::7", 4242], ["2001:db8::1", 443]),
    ):
        got = ask(mine.door, header + said(kind, data))
        assert (got["client"][:2], got["server"][:2]) == (client, served)
        assert (got["data"], got["ends"]) == (len(data), "end.")
    metrics = mine.metrics_at_rest()
    assert metrics.sum("forkful_requests_total", outcome="ok") == 3
    assert metrics.sum("forkful_refused_total") == 0
    assert metrics.sum("forkful_connections_active") == 0


@pytest.mark.parametrize("kind", ALL)
def test_without_a_header_or_with_one_that_names_nobody_it_is_the_connections_own(kind: str, share: Ask) -> None:
    door = share(kind, ALL, "--proxy-protocol", "auto").door

    for header in (
        b"",
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ::1 ::2 3 4\r\n",
        made.v2(made.TCP4, V2[16:], command=made.LOCAL),
        made.v2(0, b"", command=made.LOCAL),
        made.v2(0, b""),
    ):
        got = ask(door, header, said(kind, b"data"))
        assert got["client"][0] == "127.0.0.1"
        assert got["server"] == list(door.address)
        assert got["data"] == 4
        assert (got["header"] is None) is (header == b"")


@pytest.mark.parametrize("kind", ALL)
def test_unix_sockets_have_headers_too(kind: str, share: Ask) -> None:
    door = share(kind, ALL, "--proxy-protocol", "v2", binds=["unix"]).door

    got = ask(door, *(V2[at : at + 1] for at in range(len(V2))), said(kind, b"data"))
    assert (got["client"][:2], got["server"][:2], got["data"]) == (CLIENT, SERVED, 4)
    got = ask(door, made.v2(made.UNIX, made.unix(b"/run/client", b"/run/server")) + said(kind, b"data"))
    assert got["header"]["family"] == "UNIX"
    assert got["client"] == (None if kind in WEB else "/run/client")


@pytest.mark.parametrize("kind", ALL)
def test_what_a_proxy_says_beside_addresses_reaches_the_handler(kind: str, share: Ask) -> None:
    door = share(kind, ALL, "--proxy-protocol", "v2").door
    inner = made.tlv(0x21, b"TLSv1.3") + made.tlv(0x22, "Zoë".encode()) + made.tlv(0x23, b"TLS_AES_256_GCM_SHA384")
    more = (
        made.tlv(made.ALPN, b"h2")
        + made.tlv(made.AUTHORITY, b"example.org")
        + made.tlv(made.NOOP, bytes(30))
        + made.tlv(made.UNIQUE_ID, b"id-7")
        + made.tlv(made.NETNS, b"blue")
        + made.tlv(made.SSL, b"\x07" + bytes(4) + inner)
        + made.tlv(0xEA, b"somebody's own")
    )

    got = ask(door, made.with_crc(made.v2(made.TCP4, V2[16:] + more)) + said(kind, b"data"))
    assert got["header"] == {
        "version": 2,
        "family": "TCP4",
        "local": False,
        "alpn": "h2",
        "authority": "example.org",
        "unique_id": "id-7",
        "netns": "blue",
        "tls": ["TLSv1.3", "Zoë", "TLS_AES_256_GCM_SHA384", True],
    }
    if kind.startswith("WSGI"):
        assert got["variables"] == {
            "PROXY_PROTOCOL": "TCP4",
            "PROXY_ADDR": SERVED[0],
            "PROXY_PORT": "443",
            "PROXY_PROTOCOL_ALPN": "h2",
            "PROXY_PROTOCOL_AUTHORITY": "example.org",
            "PROXY_PROTOCOL_UNIQUE_ID": "id-7",
            "PROXY_PROTOCOL_NETNS": "blue",
            "PROXY_PROTOCOL_SSL_VERSION": "TLSv1.3",
            "PROXY_PROTOCOL_SSL_CN": "Zoë",
            "PROXY_PROTOCOL_SSL_CIPHER": "TLS_AES_256_GCM_SHA384",
            "PROXY_PROTOCOL_SSL_VERIFY": "SUCCESS",
            "wsgi.url_scheme": "https",
        }
    if kind.startswith("ASGI"):
        assert got["scheme"] == "https"


def bad_headers() -> Iterator[tuple[str, bytes]]:
    good = V2[16:]
    yield "no header", b"GET / HTTP/1.0\r\n\r\n"
    yield "another family", b"PROXY UDP4 203.0.113.7 198.51.100.1 4242 443\r\n"
    yield "a line that is too long", b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n"
    yield "a line without a return", b"PROXY UNKNOWN\n"
    yield "a port that is none", b"PROXY TCP4 203.0.113.7 198.51.100.1 65536 443\r\n"
    yield "a bad version", made.v2(made.TCP4, good, command=0x11)
    yield "a bad command", made.v2(made.TCP4, good, command=0x22)
    yield "datagrams", made.v2(0x12, good)
    yield "an unknown family", made.v2(0x41, good)
    yield "too short for its addresses", made.v2(made.TCP6, good)
    yield "a TLV that is too long", made.v2(made.TCP4, good + b"\x01\x00\x05ab")
    yield "a checksum that is wrong", made.with_crc(made.v2(made.TCP4, good), checksum=1)


@pytest.mark.parametrize("kind", SOME)
def test_who_sends_another_thing_is_hung_up_on_and_counted(kind: str, share: Ask) -> None:
    mine = share(kind, SOME, "--proxy-protocol", "auto", binds=["tcp", "tcp6"])
    door, other = mine.doors
    bad = dict(bad_headers())
    del bad["no header"]
    for what, header in bad.items():
        assert ask(door, header, said(kind, b"data")) is None, what
    cut = 0
    for whole in (V1, V2):
        for end in range(12, len(whole)):  # before that it may be a client's own data
            assert ask(door, whole[:end]) is None, whole[:end]
            cut += 1
    mine.wait_for(len(bad) + cut, "forkful_refused_total", reason="protocol")
    assert ask(other, V1 + said(kind, b"data"))["client"] == CLIENT, "and others are served"
    assert mine.metrics_at_rest().sum("forkful_requests_total") == 1


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_header_is_required_where_one_is_named(version: str, serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve("proxied:Lane", "--proxy-protocol", version, binds=[door])
    right, wrong = (V1, V2) if version == "v1" else (V2, V1)

    assert ask(door, wrong, b"data") is None
    assert ask(door, b"data") is None
    assert ask(door, b"PRO") is None
    wait_refused(server, 3, "protocol")
    assert ask(door) is None, "a check that only connects"
    wait_refused(server, 1, "gone")
    assert ask(door, right, b"data")["client"] == CLIENT
    assert ask(door, right + wrong)["data"] == len(wrong), "a second one is the client's"


@pytest.mark.parametrize("kind", ["a lane", "a protocol", "ASGI"])
def test_nobody_else_is_believed(kind: str, share: Ask) -> None:
    both = {
        f"{kind}, {version}": (handler, (*flags, "--proxy-protocol", version))
        for kind, (handler, flags) in ALL.items()
        for version in ("v2", "auto")
        if kind in ("a lane", "a protocol", "ASGI")
    }
    one, two = (share(f"{kind}, {version}", both, *FROM_ELSEWHERE) for version in ("v2", "auto"))
    strict, lenient = one.door, two.door

    assert ask(strict, V2, said(kind, b"data")) is None
    one.wait_for(1, "forkful_refused_total", reason="denied")
    assert ask(lenient, said(kind, b"data"))["client"][0] == "127.0.0.1"
    if kind in WEB:
        assert lenient.ask(V2 + said(kind, b"data")).startswith(b"HTTP/1.1 400 ")
    else:
        got = ask(lenient, V2 + said(kind, b"data"))
        assert (got["client"][0], got["header"], got["data"]) == ("127.0.0.1", None, len(V2) + 4)
    assert two.sum("forkful_refused_total", reason="protocol") == 0


@pytest.mark.parametrize("kind", SOME)
def test_limits_by_address_are_about_the_client(kind: str, share: Ask) -> None:
    mine = share(kind, SOME, "--proxy-protocol", "v1", "--deny", "203.0.113.0/24")
    door = mine.door

    assert ask(door, V1, said(kind, b"data")) is None
    mine.wait_for(1, "forkful_refused_total", reason="denied")
    assert ask(door, V1.replace(b"203.0", b"192.0"), said(kind, b"data"))["client"] == ["192.0.113.7", 4242]


def test_the_most_connections_of_an_address_are_of_the_client(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve(
        "loops:echo", "--proxy-protocol", "v1", "--max-connections-per-ip", "1", "--workers", "2", binds=[door]
    )
    with door.connect() as one, door.connect() as two, door.connect() as three:
        one.sendall(V1 + b"hello")
        assert one.recv(10) == b"hello"
        two.sendall(V1 + b"hello")
        wait_refused(server, 1, "crowded")
        three.sendall(V1.replace(b".7 ", b".8 ") + b"hello")
        assert three.recv(10) == b"hello"


@pytest.mark.parametrize("kind", LOOPS)
def test_who_says_nothing_is_given_up_and_holds_up_no_event_loop(kind: str, share: Ask) -> None:
    mine = share(kind, LOOPS, "--proxy-protocol", "v2", "--handshake-timeout", "2")
    door = mine.door
    with door.connect() as silent, door.connect() as drips:
        drips.sendall(V2[:20])
        if kind != "a lane":
            assert ask(door, V2, said(kind, b"data"))["client"] == CLIENT
        assert (silent.recv(1), drips.recv(1)) == (b"", b"")
    mine.wait_for(2, "forkful_refused_total", reason="timeout")


@pytest.mark.parametrize(("version", "header"), [("v1", V1), ("auto", V1), ("v2", V2), ("auto", V2)])
def test_a_header_may_come_in_any_pieces(version: str, header: bytes, share: Ask) -> None:
    kinds = {asked: ("proxied:coroutine", ("--proxy-protocol", asked)) for asked in ("v1", "v2", "auto")}
    door = share(version, kinds).door
    for at in range(1, len(header)):
        assert ask(door, header[:at], header[at:] + b"data") == ask(door, header + b"data")
    assert ask(door, *(header[at : at + 1] for at in range(len(header))), b"da", b"ta")["data"] == 4


def test_stacks_and_status_name_the_client(server_at_work: Server) -> None:
    shown = server_at_work.run("stacks", "main[0]")
    assert shown.returncode == 0, shown.stderr
    server_at_work.wait_for_log("203.0.113.7:4242")


@pytest.fixture
def server_at_work(serve: Serve, doors: Callable[[str], Door]) -> Iterator[Server]:
    """One whose only lane serves a client behind a proxy."""
    door = doors("tcp")
    server = serve("classic:LineHandler", "--proxy-protocol", "v1", binds=[door])
    with door.connect() as client:
        client.sendall(V1 + b"hello\n")
        assert client.recv(10) == b"HELLO\n"
        yield server


def test_a_descriptor_of_datagrams_is_refused_by_name(serve: Serve, doors: Callable[[str], Door]) -> None:
    server = serve("classic:DatagramEcho", "--proxy-protocol", "v2", binds=[doors("udp")], ready=False)

    assert server.wait_exit() == 3
    assert "proxy_protocol is set for a datagram socket" in server.log


def test_a_program_that_accepts_for_itself_cannot_be_asked(serve: Serve) -> None:
    server = serve("owners:plain", "--proxy-protocol", "v2", ready=False)

    assert server.wait_exit() == 3
    assert "'owners:plain' accepts for itself and asks nobody about proxy_protocol" in server.log


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_aiosmtpd_greets_and_sees_the_client(loop: str, serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    flags = ("--event-loop", loop, "--proxy-protocol", "v2")
    serve("proxied:smtp()", *flags, binds=[door])

    with door.connect() as client:
        client.sendall(V2)
        post = smtplib.SMTP()
        post.sock = client
        assert post.getreply()[0] == 220
        post.ehlo("client")
        post.mail("a@example.org")
        post.rcpt("b@example.org")
        code, told = post.data("hello")
    assert (code, json.loads(told)) == (250, [CLIENT, SERVED])
