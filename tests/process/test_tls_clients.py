"""Clients of TLS that are slow, half closed, proxied, or send what is none."""

import contextlib
import socket
import ssl
from collections.abc import Callable

import pytest

from tests.apps.tls import BIG
from tests.conftest import Serve
from tests.kit import certificates
from tests.kit.certificates import Pair
from tests.kit.door import Door, read_all
from tests.process.test_tls import STREAMS, curl, handshakes, secure, trusting

Doors = Callable[[str], Door]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return certificates.self_signed(tmp_path_factory.mktemp("tls"))


class Bare:
    """A client that speaks TLS by hand, so that it can do what none does."""

    def __init__(self, door: Door, trust: ssl.SSLContext) -> None:
        self.sock = door.connect()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trust.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        while not self._shaken():
            self._incoming.write(self.sock.recv(65536))

    def _shaken(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self.flush()
        return True

    def flush(self) -> None:
        self.sock.sendall(self._outgoing.read())

    def end(self) -> None:
        """Say goodbye, and go on listening."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()

    def read_all(self) -> bytes:
        """All up to the other side's goodbye."""
        got = b""
        while True:
            try:
                more = self.tls.read(65536)
            except ssl.SSLWantReadError:
                data = self.sock.recv(65536)
                assert data, "an end without a goodbye"
                self._incoming.write(data)
                continue
            except ssl.SSLZeroReturnError:
                return got
            if not more:
                return got
            got += more


@pytest.mark.parametrize("kind", ["a coroutine", "a coroutine of asyncio"])
def test_who_has_closed_its_side_still_gets_its_answer(kind: str, serve: Serve, doors: Doors, pair: Pair) -> None:
    handler, flags = STREAMS[kind]
    door = doors("tcp")
    serve(handler, *flags, *pair.flags, binds=[door])
    client = Bare(door, trusting(pair))

    with client.sock:
        client.tls.write(b"big\n")
        client.end()
        assert len(client.read_all()) == BIG


@pytest.mark.parametrize("kind", ["tls:Handler", "tls:coroutine", "tls:Protocol", "tls:asgi"])
def test_garbage_behind_the_handshake_ends_a_connection_and_nothing_else(
    kind: str, serve: Serve, doors: Doors, pair: Pair
) -> None:
    door = doors("tcp")
    server = serve(kind, *pair.flags, binds=[door])
    workers = server.workers()

    client = Bare(door, trusting(pair))
    with client.sock:
        client.sock.sendall(b"\x17\x03\x03\x00\x20" + b"garbage " * 4)
        with contextlib.suppress(ConnectionResetError):
            read_all(client.sock)
    with secure(door, trusting(pair)) as honest:
        assert honest.version() == "TLSv1.3"
    server.wait_until_idle()
    assert server.workers() == workers
    if "asgi" not in kind:
        assert server.metrics_at_rest().sum("forkful_requests_total", outcome="reset") >= 1


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_slow_reader_gets_all_of_it_and_who_reads_nothing_is_cut_off(
    loop: str, serve: Serve, doors: Doors, pair: Pair
) -> None:
    door = doors("tcp")
    flags = ("--keep-alive", "0.2", "--write-timeout", "2", "--event-loop", loop)
    server = serve("tls:wsgi", *flags, *pair.flags, binds=[door])

    slow = curl(door, pair, "/big", "--limit-rate", "1500K")
    assert (slow.returncode, len(slow.stdout)) == (0, BIG)
    with door.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with trusting(pair).wrap_socket(sock, server_hostname="localhost") as client:
            client.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
            server.wait_until(lambda: server.metrics().sum("forkful_connections_active") == 1, what="it to be there")
            server.wait_until(lambda: server.metrics().sum("forkful_connections_active") == 0, what="its end")


@pytest.mark.parametrize("handler", ["tls:Handler", "tls:coroutine"])
def test_a_proxy_header_comes_before_the_handshake(handler: str, serve: Serve, doors: Doors, pair: Pair) -> None:
    door = doors("tcp")
    server = serve(handler, "--proxy-protocol", "v1", "--proxy-allow-from", "127.0.0.1", *pair.flags, binds=[door])

    with door.connect() as sock:
        sock.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\n")
        with trusting(pair).wrap_socket(sock, server_hostname="localhost") as client:
            client.sendall(b"hello\n")
            assert client.recv(10) == b"HELLO\n"
    assert handshakes(server, "ok") == 1


@pytest.mark.parametrize("kind", ["tls:wsgi", "tls:asgi", "tls:coroutine"])
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_who_leaves_without_a_goodbye_before_its_answer_leaves_nothing_behind(
    kind: str, loop: str, serve: Serve, doors: Doors, pair: Pair
) -> None:
    door = doors("tcp")
    server = serve(kind, "--event-loop", loop, *pair.flags, binds=[door])

    for _ in range(20):
        client = Bare(door, trusting(pair))
        with client.sock:
            client.tls.write(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\nbig\n")
            client.flush()
            client.sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                read_all(client.sock)
    server.wait_until(lambda: server.metrics().sum("forkful_connections_active") == 0, what="nobody to be left")
