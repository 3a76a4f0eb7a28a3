"""The step that reads PROXY headers: nothing behind a header is taken, and nobody spins while it waits."""

import select
import socket
from collections.abc import Callable, Iterable, Iterator

import pytest

from forkful.worker.blocking.arrivals import walk
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.proxy_protocol import ProxyProtocol
from forkful.worker.net.steps import Reason, Refused, Steps, Want
from tests.kit import proxy_headers as made

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 4242 443\r\n"
V2 = made.with_crc(made.v2(made.TCP4, made.tcp4(("192.0.2.1", 4242), ("198.51.100.1", 443))))
PATIENCE = 10_000  # ms

Pair = Callable[[str], tuple[socket.socket, Accepted]]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A client and the connection that was accepted from it, over TCP or a Unix socket."""
    opened: list[socket.socket] = []

    def make(kind: str) -> tuple[socket.socket, Accepted]:
        if kind == "unix":
            client, server = socket.socketpair()
            peer: object = ""
        else:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                client = socket.create_connection(listener.getsockname())
                server, peer = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.setblocking(False)
        opened.extend((client, server))
        return client, Accepted.now(server, peer)

    yield make
    for sock in opened:
        sock.close()


def is_readable(sock: socket.socket, within: int = 0) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(within))


def take(step: ProxyProtocol, client: socket.socket, accepted: Accepted, pieces: Iterable[bytes]) -> None:
    """Send piece after piece, b"" for an end, and take the step as far as it goes after each."""
    walk = iter(step(accepted))
    left = list(pieces)
    while (want := next(walk, None)) is not None:
        if want is Want.READ:
            assert not is_readable(accepted.sock), "it would be asked again at once, for nothing"
        if left:
            piece = left.pop(0)
            client.sendall(piece) if piece else client.shutdown(socket.SHUT_WR)
            assert is_readable(accepted.sock, PATIENCE)
        else:
            assert want is Want.MOMENT or is_readable(accepted.sock, PATIENCE)
    assert accepted.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1
    for piece in left:
        client.sendall(piece)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("mode", ["strict", "auto"])
@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_a_header_is_read_wherever_it_is_split_and_what_follows_stays(
    kind: str, mode: str, header: bytes, pair: Pair
) -> None:
    step = ProxyProtocol({V1: "v1", V2: "v2"}[header] if mode == "strict" else "auto", "127.0.0.1")
    ways = [[header[:at], header[at:] + b"rest"] for at in range(1, len(header))]
    ways += [[header + b"rest"], [header, b"rest"], [header[at : at + 1] for at in range(len(header))] + [b"rest"]]
    for pieces in ways:
        client, accepted = pair(kind)
        take(step, client, accepted, pieces)
        assert (accepted.peer, accepted.local) == (("192.0.2.1", 4242), ("198.51.100.1", 443))
        assert accepted.proxy_header is not None
        assert is_readable(accepted.sock, PATIENCE)
        assert accepted.sock.recv(100) == b"rest"


def test_what_comes_in_one_segment_with_the_header_stays_whole(pair: Pair) -> None:
    data = bytes(range(256)) * 256
    for header in (V1, V2):
        client, accepted = pair("tcp")
        client.setblocking(False)
        sent = client.send(header + data)
        take(ProxyProtocol("auto", "127.0.0.1"), client, accepted, [])
        got = b""
        while len(got) < sent - len(header) and is_readable(accepted.sock, PATIENCE):
            got += accepted.sock.recv(65_536)
        assert got == data[: len(got)]
        assert len(got) == sent - len(header)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("said", [b"", b"P", b"PROXY", b"\r\n", b"GET / HTTP/1.0\r\n\r\n", b"PROXYING", V2[:11]])
def test_with_auto_what_is_no_header_is_left_as_it_is(kind: str, said: bytes, pair: Pair) -> None:
    client, accepted = pair(kind)
    peer = accepted.peer
    take(ProxyProtocol("auto", "127.0.0.1"), client, accepted, [said, b""] if said else [b""])

    assert (accepted.peer, accepted.proxy_header, accepted.says_local) == (peer, None, False)
    assert accepted.sock.recv(100) == said


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize(
    ("mode", "header"), [("v1", V1), ("v2", V2), ("auto", V1), ("auto", V2)], ids=["v1", "v2", "auto v1", "auto v2"]
)
def test_a_header_that_ends_too_early_is_malformed(kind: str, mode: str, header: bytes, pair: Pair) -> None:
    step = ProxyProtocol(mode, "127.0.0.1")
    least = {"auto": {V1: 6, V2: 12}[header]}.get(mode, 1)
    for end in range(least, len(header)):
        client, accepted = pair(kind)
        with pytest.raises(Refused) as refused:
            take(step, client, accepted, [header[:end], b""])
        assert refused.value.reason is Reason.PROTOCOL, end


def test_who_only_connects_where_a_header_is_required_is_gone(pair: Pair) -> None:
    client, accepted = pair("tcp")
    with pytest.raises(Refused) as refused:
        take(ProxyProtocol("v2", "127.0.0.1"), client, accepted, [b""])
    assert refused.value.reason is Reason.GONE


def test_a_second_header_is_the_clients(pair: Pair) -> None:
    client, accepted = pair("tcp")
    take(ProxyProtocol("auto", "127.0.0.1"), client, accepted, [V1 + V2])
    assert accepted.sock.recv(100) == V2


@pytest.mark.parametrize(
    ("allow", "kind", "believed"),
    [
        ("127.0.0.1", "tcp", True),
        ("10.0.0.0/8, 127.0.0.0/8", "tcp", True),
        ("*", "tcp", True),
        ("10.0.0.0/8", "tcp", False),
        ("::1", "tcp", False),
        ("", "tcp", False),
        ("10.0.0.0/8", "unix", True),
        ("", "unix", False),
    ],
)
def test_who_is_believed(allow: str, kind: str, believed: bool, pair: Pair) -> None:
    client, accepted = pair(kind)
    client.sendall(V1)
    assert is_readable(accepted.sock, PATIENCE)
    take(ProxyProtocol("auto", allow), client, accepted, [])
    assert (accepted.proxy_header is not None) is believed

    client, accepted = pair(kind)
    client.sendall(V1)
    assert is_readable(accepted.sock, PATIENCE)
    if believed:
        take(ProxyProtocol("v1", allow), client, accepted, [])
        return
    with pytest.raises(Refused) as refused:
        take(ProxyProtocol("v1", allow), client, accepted, [])
    assert refused.value.reason is Reason.DENIED


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("said", [b"", b"PRO", V1[:20], V2[:5], V2[:20]])
def test_who_stops_in_its_header_has_until_the_deadline(kind: str, said: bytes, pair: Pair) -> None:
    client, accepted = pair(kind)
    client.sendall(said)
    with pytest.raises(Refused) as refused:
        walk(Steps((ProxyProtocol("auto", "127.0.0.1"),), timeout=0.05), accepted)
    assert refused.value.reason is Reason.TIMEOUT
