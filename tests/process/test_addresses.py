"""Addresses of every kind: names of two families, abstract names, wildcards that answer from where they were asked."""

import http.client
import os
import socket
from collections.abc import Callable

import pytest

from tests.conftest import Serve
from tests.kit.door import Door


class UnixClient(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, door: Door) -> None:
        super().__init__("localhost")
        self._door = door

    def connect(self) -> None:
        self.sock = self._door.connect()


@pytest.mark.parametrize("handler", ["http.server:SimpleHTTPRequestHandler", "web:Pages", "locals:partial"])
def test_handler_of_http_server_serves_on_a_unix_socket(
    handler: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("unix")
    serve(handler, binds=[door])
    client = UnixClient(door)
    client.request("GET", "/")

    assert client.getresponse().status == 200
    client.close()


@pytest.mark.parametrize("handler", ["forkful.handlers.echo:EchoDatagram", "locals:packets", "locals:Packets"])
@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_datagram_on_a_wildcard_is_answered_from_the_address_that_was_asked(
    wildcard: str, handler: str, serve: Serve
) -> None:
    family = socket.AF_INET6 if wildcard == "::" else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_DGRAM)
    if wildcard == "::":
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((wildcard, 0))
    port = listener.getsockname()[1]
    door = Door(family, socket.SOCK_DGRAM, (wildcard, port), listener)
    serve(handler, "--workers", "2", binds=[door])
    for asked in ("127.0.0.1", "127.0.0.2", "127.7.7.7", "127.0.0.1"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind(("127.0.0.1", 0))
            client.settimeout(15)
            client.connect((asked, port))  # so that an answer from another address does not come
            client.send(asked.encode())
            assert client.recv(100) == asked.encode()
    if wildcard == "::":
        assert door.at("::1").ask(b"six") == b"six"


def test_localhost_is_both_families(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = serve("forkful.handlers.echo:EchoStream", "--bind", f"tcp://localhost:{port}", binds=[])

    assert set(server.listeners()) == {f"tcp://127.0.0.1:{port}", f"tcp://[::1]:{port}"}
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, port), 15) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"


def test_abstract_name_is_served_and_reloaded(serve: Serve) -> None:
    name = f"forkful-test-{os.getpid()}"
    server = serve("forkful.handlers.echo:EchoStream", "--bind", f"unix:@{name}", binds=[])
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"\0{name}")
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
        server.hup(within=60)
    assert server.listeners() == [f"unix:@{name}"]


@pytest.mark.parametrize(
    ("handler", "counted"),
    [
        ("forkful.handlers.echo:EchoDatagram", 3),
        ("locals:packets", 3),
        ("locals:own_threads", 0),  # they are the program's own, and so is what they raise
    ],
)
@pytest.mark.parametrize("kind", ["udp", "udp*"])
def test_source_port_0_is_one_counted_error_and_no_traceback(
    kind: str, handler: str, counted: int, serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors(kind)
    assert isinstance(door.address, tuple)
    port = door.address[1]
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        pytest.skip("a raw socket needs CAP_NET_RAW")
    server = serve(handler, binds=[door])
    if kind == "udp*":
        door = door.at("127.0.0.1")
    with raw:
        packet = b"".join(part.to_bytes(2, "big") for part in (0, port, 13, 0)) + b"hello"
        for _ in range(3):
            raw.sendto(packet, ("127.0.0.1", 0))
    assert door.ask(b"hello") == b"hello"
    metrics = server.metrics_at_rest()

    assert metrics.sum("forkful_requests_total", pool="main", outcome="error") == counted
    assert "Exception occurred" not in server.log
