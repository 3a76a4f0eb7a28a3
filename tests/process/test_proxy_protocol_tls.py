"""PROXY headers in front of TLS: in the clear, before the handshake, for every kind of handler; and STARTTLS behind."""

import json
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Serve
from tests.kit import certificates
from tests.kit.certificates import Pair
from tests.kit.door import Door
from tests.process.test_admission import wait_refused
from tests.process.test_proxy_protocol import ALL, CLIENT, SERVED, V1, V2, WEB, said


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return certificates.self_signed(tmp_path_factory.mktemp("tls"))


def ask(door: Door, header: bytes, data: bytes, pair: Pair) -> Any:  # Any: JSON
    """Send the header, then this over TLS, and read what the handler says."""
    trust = ssl.create_default_context(cafile=str(pair.certificate))
    with door.connect() as plain:
        plain.sendall(header)
        with trust.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(data)
            return json.loads(b"".join(iter(lambda: client.recv(65_536), b"")).splitlines()[-1])


@pytest.mark.parametrize("kind", ALL)
def test_the_header_comes_before_the_handshake(
    kind: str, serve: Serve, doors: Callable[[str], Door], pair: Pair
) -> None:
    handler, flags = ALL[kind]
    door = doors("tcp")
    server = serve(handler, *flags, *pair.flags, "--proxy-protocol", "auto", binds=[door])
    data = said(kind, b"data") if kind in WEB else b"data\n"

    for header in (V1, V2):
        got = ask(door, header, data, pair)
        assert (got["client"], got["server"]) == (CLIENT, SERVED)
        assert got["header"]["family"] == "TCP4"
    got = ask(door, b"", data, pair)
    assert (got["client"][0], got["header"]) == ("127.0.0.1", None)
    with door.connect() as plain:
        plain.sendall(V1 + b"GET / HTTP/1.0\r\n\r\n" * 20)
        wait_refused(server, 1, "tls")
    assert server.metrics().sum("forkful_tls_handshakes_total", result="ok") == 3


def test_a_client_is_refused_by_its_address_before_its_handshake(
    serve: Serve, doors: Callable[[str], Door], pair: Pair
) -> None:
    door = doors("tcp")
    flags = ("--proxy-protocol", "v1", "--deny", "203.0.113.7")
    server = serve("proxied:coroutine", *pair.flags, *flags, binds=[door])

    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(door, V1, b"data\n", pair)
    wait_refused(server, 1)
    assert ask(door, V1.replace(b".7 ", b".8 "), b"data\n", pair)["client"][0] == "203.0.113.8"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("handler", ["proxied:starttls", "proxied:StartTls"])
def test_a_handler_that_starts_tls_goes_on_seeing_the_client(
    loop: str, handler: str, serve: Serve, doors: Callable[[str], Door], pair: Pair
) -> None:
    door = doors("tcp")
    env = {"CERTIFICATE": str(pair.certificate), "KEY": str(pair.key)}
    serve(handler, "--event-loop", loop, "--proxy-protocol", "v2", binds=[door], env=env)
    trust = ssl.create_default_context(cafile=str(pair.certificate))

    with door.connect() as plain:
        plain.sendall(V2)
        assert plain.recv(10) == b"go\n"
        with trust.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as client:
            client.sendall(b"data\n")
            got = json.loads(client.recv(65_536))
    assert (got["client"], got["server"]) == (CLIENT, SERVED)
