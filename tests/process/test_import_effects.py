"""What a handler's module does beside defining a handler: servers of others at import, signals, reaped children."""

import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, door_of

ECHO = """
from socketserver import *
from http.server import *
from threading import Thread
import os

class Handler(BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(1024))

class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"healthy")

    def log_message(self, *_): pass
"""
METRICS = """
from prometheus_client import start_http_server
start_http_server({port}, "127.0.0.1")
"""
HEALTH = """
health = HTTPServer(("127.0.0.1", {port}), Health)
Thread(target=health.serve_forever, daemon=True).start()
"""
TOLERANT = """
from prometheus_client import start_http_server
try:
    start_http_server({port}, "127.0.0.1")
except OSError:
    TOLD = True
assert TOLD
"""
OWN = """
server = TCPServer(("127.0.0.1", {port}), Handler)
"""


def free_port() -> int:
    """One that nobody has just now. The programs under test name their ports, so there is no handing down."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def get(port: int) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/", timeout=15) as reply:
        found: bytes = reply.read()
    return found


def write(folder: Path, source: str, **blanks: object) -> Path:
    (folder / "program.py").write_text(ECHO + source.format(**blanks))
    return folder


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["worker", "mold"])
@pytest.mark.parametrize(("source", "answer"), [(METRICS, b"python_info"), (HEALTH, b"healthy")])
def test_server_of_somebody_else_at_import_binds_and_serves(
    source: str, answer: bytes, preload: tuple[str, ...], serve: Serve, doors: Callable[[str], Door], tmp_path: Path
) -> None:
    door, port = doors("tcp"), free_port()
    serve("program:Handler", "--workers", "1", *preload, binds=[door], cwd=write(tmp_path, source, port=port))

    assert answer in get(port)
    assert door.ask(b"hello") == b"hello"


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["worker", "mold"])
def test_server_that_is_served_leaves_its_own_address_free(
    preload: tuple[str, ...], serve: Serve, doors: Callable[[str], Door], tmp_path: Path
) -> None:
    door, port = doors("tcp"), free_port()
    serve("program:server", "--workers", "3", *preload, binds=[door], cwd=write(tmp_path, OWN, port=port))

    assert door.ask(b"hello") == b"hello"
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_server_at_the_pools_own_address_loads_in_every_worker(
    serve: Serve, doors: Callable[[str], Door], tmp_path: Path
) -> None:
    door = doors("tcp")
    assert isinstance(door.address, tuple)
    server = serve("program:server", "--workers", "3", binds=[door], cwd=write(tmp_path, OWN, port=door.address[1]))

    assert len(server.workers()) == 3
    assert door.ask(b"hello") == b"hello"


def test_address_that_is_taken_is_told_to_the_library_that_wants_it(
    serve: Serve, doors: Callable[[str], Door], tmp_path: Path
) -> None:
    door = doors("tcp")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        source = METRICS.replace("start_http_server({", "try: start_http_server({").replace(
            '")', '")\nexcept OSError: TOLD = 1'
        )
        serve(
            "program:Handler",
            binds=[door],
            cwd=write(tmp_path, source + "\nassert TOLD\n", port=taken.getsockname()[1]),
        )
    assert door.ask(b"hello") == b"hello"


CHILDREN = {
    "ignored": "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n",
    "reaped": (
        "import signal\n"
        "def reap(*_):\n"
        "    try:\n"
        "        while os.waitpid(-1, os.WNOHANG)[0]: pass\n"
        "    except ChildProcessError: pass\n"
        "signal.signal(signal.SIGCHLD, reap)\n"
    ),
    "waited for in a thread": (
        "import time\n"
        "def reap():\n"
        "    while True:\n"
        "        try: os.wait()\n"
        "        except ChildProcessError: time.sleep(0.001)\n"
        "Thread(target=reap, daemon=True).start()\n"
    ),
}


@pytest.mark.parametrize("how", CHILDREN)
def test_mold_casts_on_while_the_program_sees_to_all_children(how: str, serve: Serve, tmp_path: Path) -> None:
    server = serve("program:Handler", "--workers", "6", "--preload", cwd=write(tmp_path, CHILDREN[how]))

    assert len(server.workers()) == 6
    assert server.metrics().sum("forkful_worker_exits_total") == 0
    assert [child for child in [server.child("mold gen=1")] if child]


PLAIN = {
    "a handler class": "class It(StreamRequestHandler):\n    def handle(self): self.wfile.write(self.rfile.read(5))\n",
    "a function": "def It(sock, address): sock.sendall(sock.recv(5))\n",
    "a coroutine": "async def It(reader, writer):\n    writer.write(await reader.read(5))\n    writer.close()\n",
    "a server": "It = TCPServer(('127.0.0.1', 0), Handler)\n",
    "a factory": "def It(): return TCPServer(('127.0.0.1', 0), Handler)\n",
    "an application": (
        "from flask import Flask\nIt = Flask(__name__)\n@It.route('/', methods=['GET'])\ndef say(): return 'hello'\n"
    ),
}
TELL = "with open(os.environ['EVENTS'], 'a') as events: events.write(f'imported {os.getpid()}\\n')\n"


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["worker", "mold"])
@pytest.mark.parametrize("what", PLAIN)
def test_handler_at_a_plain_address_is_imported_once(
    what: str, preload: tuple[str, ...], serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(ECHO + TELL + PLAIN[what])
    server = serve("program:It", "--bind", "127.0.0.1:0", *preload, binds=[], cwd=tmp_path)
    importer = server.child("mold") if preload else server.workers()[0]
    door = door_of(server.listeners()[0])

    assert server.events.next() == f"imported {importer}"
    if what == "an application":
        assert get(int(door.address[1])) == b"hello"
    else:
        assert door.ask(b"hello") == b"hello"
    assert server.reload().returncode == 0
    importer = server.child("mold gen=2") if preload else server.workers()[0]
    assert server.events.next() == f"imported {importer}", "once more by the reload, and by nobody else"


def test_handler_whose_source_does_not_show_what_it_serves_is_told_to_be_imported_twice(
    serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(ECHO + TELL + "It = vars()['Handler']\n")
    server = serve("program:It", "--bind", "127.0.0.1:0", binds=[], cwd=tmp_path)

    assert len({server.events.next() for _ in range(2)}) == 2
    assert server.log.count("program:It is imported once more") == 1
    assert "write tcp://" in server.log
