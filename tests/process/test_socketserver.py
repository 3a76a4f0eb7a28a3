"""The behaviours of CPython's own test_socketserver, with a real master: all server classes, both families, errors."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, door_of
from tests.process.test_dropin import pool_of

PROGRAM = """
import os, socket, socketserver, sys
from forkful.master import *

class Stream(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline())

class Datagram(socketserver.DatagramRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.read())

class Server({name}):
    address_family = {family}

with Server({address!r}, {handler}, workers=2) as server:
    host = server.server_address
    server.serve_forever()
assert server.socket.fileno() == -1, "the context manager closes it"
print("over", flush=True)
"""
KINDS = ("", "Threading", "Forking")
INTERNET = [f"{kind}{name}" for kind in KINDS for name in ("TCPServer", "UDPServer")]
UNIX = [f"{kind}{name}" for kind in KINDS for name in ("UnixStreamServer", "UnixDatagramServer")]
CASES = [(name, family) for name in INTERNET for family in ("AF_INET", "AF_INET6")]
CASES += [(name, "AF_UNIX") for name in UNIX]


@pytest.mark.parametrize(("name", "family"), CASES)
def test_every_class_of_server_answers_ends_and_closes(name: str, family: str, serve: Serve, tmp_path: Path) -> None:
    address = {"AF_INET": ("127.0.0.1", 0), "AF_INET6": ("::1", 0), "AF_UNIX": str(tmp_path / "own.sock")}[family]
    handler = "Datagram" if "UDP" in name or "Datagram" in name else "Stream"
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(name=name, family=f"socket.{family}", address=address, handler=handler))
    server = serve(script=[sys.executable, str(path)], binds=[], cwd=tmp_path)
    (url,) = server.listeners(pool_of(server))
    door = door_of(url)
    for message in (b"hello world\n", b"I love Python!\n", b"line 3\n"):
        assert door.ask(message) == message
    server.signal(SIGTERM)

    assert server.wait_exit() == 0
    assert "over" in server.log


ERRORS = """
import os, socketserver

class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        what = self.request.recv(100)
        if what == b"value":
            raise ValueError("test")
        if what == b"exit":
            raise SystemExit(1)
        if what == b"interrupt":
            raise KeyboardInterrupt
        self.request.sendall(what)

class Server(socketserver.TCPServer):
    def handle_error(self, request, client_address):
        request.sendall(b"handled")

server = Server(("127.0.0.1", 0), Handler)
"""


@pytest.mark.parametrize(("what", "answer"), [(b"value", b"handled"), (b"exit", b""), (b"interrupt", b"")])
def test_error_of_a_handler_is_handled_and_ends_nobody(
    what: bytes, answer: bytes, serve: Serve, doors: Callable[[str], Door], tmp_path: Path
) -> None:
    (tmp_path / "errors.py").write_text(ERRORS)
    door = doors("tcp")
    server = serve("errors:server", "--workers", "1", binds=[door], cwd=tmp_path)
    server.may_log_tracebacks = True
    before = server.workers()

    assert door.ask(what) == answer
    assert door.ask(b"alive") == b"alive"
    assert server.workers() == before


def test_constructor_that_cannot_bind_closes_its_socket_and_raises(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        source = (
            "import socketserver, sys\nfrom forkful.master import TCPServer\n"
            "try: TCPServer(('127.0.0.1', int(sys.argv[1])), socketserver.BaseRequestHandler)\n"
            "except OSError as error: print(type(error).__name__)\n"
        )
        (tmp_path / "program.py").write_text(source)
        command = [sys.executable, "-W", "error", str(tmp_path / "program.py"), str(taken.getsockname()[1])]
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (found.stdout, found.stderr) == ("OSError\n", "")
