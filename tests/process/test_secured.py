"""A listening socket that was wrapped in TLS serves TLS, with the program's own context and under a deadline."""

import contextlib
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, door_of, read_all
from tests.kit.server import Server

HTTP = ("securing:documented", "securing:documented()", "securing:InBind", "securing:werkzeug()")
GET = b"GET / HTTP/1.0\r\n\r\n"


def secure(door: Door, certificate: Path) -> ssl.SSLSocket:
    trust = ssl.create_default_context(cafile=str(certificate))
    return trust.wrap_socket(door.connect(), server_hostname="localhost")


def get(door: Door, certificate: Path) -> bytes:
    """The last line of what HTTPS answers."""
    with secure(door, certificate) as client:
        client.sendall(GET)
        return read_all(client).splitlines()[-1]


@pytest.mark.parametrize("handler", HTTP)
@pytest.mark.parametrize("flags", [(), ("--threads", "3")])
def test_https_that_a_server_made_for_itself_is_served(
    handler: str, flags: tuple[str, ...], serve: Serve, doors: Callable[[str], Door], certificate: Path
) -> None:
    door, other = doors("tcp"), doors("tcp6")
    server = serve(handler, *flags, binds=[door, other], env={"CERTIFICATE": str(certificate)})

    expected = b"https" if "werkzeug" in handler else b"SSLSocket TLSv1.3"
    assert [get(door, certificate) for _ in range(3)] == [expected] * 3
    assert get(other, certificate) == expected
    curl = subprocess.run(
        ["curl", "--silent", "--cacert", str(certificate), f"https://localhost:{door.address[1]}/"],
        capture_output=True,
        timeout=15,
        check=False,
    )
    assert curl.stdout == expected
    metrics = server.metrics_at_rest()
    assert metrics.sum("forkful_requests_total", outcome="ok") == 5
    assert metrics.sum("forkful_sent_bytes_total") > 5 * 1000, "a certificate each time, and the answer"


def test_tls_made_when_it_listens_is_served_and_who_speaks_no_tls_is_refused(
    serve: Serve, doors: Callable[[str], Door], certificate: Path
) -> None:
    door = doors("tcp")
    server = serve("securing:InActivate", "--threads", "2", binds=[door], env={"CERTIFICATE": str(certificate)})

    with secure(door, certificate) as client:
        client.sendall(b"hello\n")
        assert client.recv(100) == b"HELLO\n"
    with door.connect() as client:
        client.sendall(GET)
        with contextlib.suppress(ConnectionResetError):
            assert b"HELLO" not in read_all(client)
    door.connect().close()
    server.wait_until(lambda: refused(server, "tls") == refused(server, "gone") == 1, what="two counted refusals")
    assert server.metrics_at_rest().sum("forkful_requests_total") == 1


def refused(server: Server, reason: str) -> float:
    return server.metrics().sum("forkful_refused_total", reason=reason)


def test_a_client_that_is_silent_in_the_handshake_holds_its_lane_until_handshake_timeout(
    serve: Serve, doors: Callable[[str], Door], certificate: Path
) -> None:
    door = doors("tcp")
    flags = ("--handshake-timeout", "1", "--timeout", "30")
    server = serve("securing:InActivate", *flags, binds=[door], env={"CERTIFICATE": str(certificate)})
    before = server.workers()

    with door.connect() as silent:
        server.wait_until(lambda: server.pool()["in_flight"] == 1, what="one in flight")
        with secure(door, certificate) as client:  # there is one lane, so this waits for it
            client.sendall(b"hello\n")
            assert client.recv(100) == b"HELLO\n"
        assert silent.recv(1) == b""
    assert refused(server, "timeout") == 1
    assert server.workers() == before


def test_a_peer_that_leaves_without_goodbye_is_no_error_of_the_handler(
    serve: Serve, doors: Callable[[str], Door], certificate: Path
) -> None:
    door = doors("tcp")
    server = serve("securing:InActivate", binds=[door], env={"CERTIFICATE": str(certificate)})
    with secure(door, certificate) as client:
        client.sendall(b"hello\n")
        assert client.recv(100) == b"HELLO\n"

    metrics = server.metrics_at_rest()
    assert metrics.sum("forkful_requests_total", outcome="reset") == 1
    assert metrics.sum("forkful_requests_total", outcome="error") == 0


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        ("securing:strange()", "its socket is a securing.Strange, which accepts in a way of its own"),
        ("securing:for_clients()", "is wrapped by an SSLContext for clients"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(handler: str, words: str, serve: Serve, certificate: Path) -> None:
    server = serve(handler, env={"CERTIFICATE": str(certificate)}, ready=False)

    assert server.wait_exit() == 4
    assert words in server.log


SCRIPT = """\
import os, ssl
from forkful.master import {kind}
from socketserver import StreamRequestHandler

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.environ["CERTIFICATE"])

class Upper(StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline().upper())

class InBind({kind}):
    def server_bind(self):
        super().server_bind()
        self.socket = context.wrap_socket(self.socket, server_side=True)

if __name__ == "__main__":
    if {inside}:
        server = InBind(("127.0.0.1", 0), Upper, workers=2)
    else:
        server = {kind}(("127.0.0.1", 0), Upper, workers=2)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with server:
        server.serve_forever()
"""


@pytest.mark.parametrize("kind", ["TCPServer", "ThreadingTCPServer"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_drop_in_keeps_its_tls_through_a_reload(
    kind: str, inside: bool, serve: Serve, tmp_path: Path, certificate: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text(SCRIPT.format(kind=kind, inside=inside))
    server = serve(script=(sys.executable, str(path)), binds=(), env={"CERTIFICATE": str(certificate)})
    (address,) = server.listeners()

    def ask() -> bytes:
        with secure(door_of(address), certificate) as client:
            client.sendall(b"hello\n")
            return read_all(client)

    assert ask() == b"HELLO\n"
    server.hup(within=60)
    assert server.status()["generation"] == 2
    assert ask() == b"HELLO\n"
