"""The drop-in's life: shutdown at any moment, reloads that cannot end the service, what scripts do to their sockets."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, door_of
from tests.kit.load import Load
from tests.kit.server import Server
from tests.process.test_dropin import pool_of

HEAD = """
import os, signal, socket, socketserver, struct, subprocess, sys, threading
from forkful.master import TCPServer, UDPServer, UnixStreamServer
from socketserver import BaseRequestHandler

class Handler(BaseRequestHandler):
    def handle(self):
        if isinstance(self.request, tuple):
            self.request[1].sendto(self.request[0] + SUFFIX, self.client_address)
        else:
            self.request.sendall(self.request.recv(1024) + SUFFIX)

SUFFIX = b""
ADDRESS = ("127.0.0.1", 0)
"""
PLAIN = """
with TCPServer(ADDRESS, Handler, workers=2) as server:
    server.serve_forever()
"""


def write(folder: Path, source: str, *, suffix: str = "") -> Path:
    path = folder / "program.py"
    path.write_text(HEAD.replace('SUFFIX = b""', f'SUFFIX = b"{suffix}"') + source)
    return path


def run(serve: Serve, path: Path) -> tuple[Server, Door]:
    server = serve(script=[sys.executable, str(path)], binds=[], cwd=path.parent)
    (url,) = server.listeners(pool_of(server))
    return server, door_of(url)


SHUTDOWNS = {
    "in a finally": "try: server.serve_forever()\nfinally: server.shutdown(); server.server_close()\n",
    "in server_close": "with server:\n    server.serve_forever()\n",
}


@pytest.mark.parametrize("when", SHUTDOWNS)
def test_shutdown_returns_and_the_script_ends_and_reloads(when: str, serve: Serve, tmp_path: Path) -> None:
    source = (
        "class Closing(TCPServer):\n"
        "    def server_close(self):\n"
        "        self.shutdown()\n"
        "        super().server_close()\n"
        "server = Closing(ADDRESS, Handler, workers=1)\n" + SHUTDOWNS[when]
    )
    server, door = run(serve, write(tmp_path, source))
    write(tmp_path, source, suffix=" again")
    server.hup(within=60)
    assert door.ask(b"hello") == b"hello again"
    server.signal(SIGTERM)

    assert server.wait_exit() == 0


def test_shutdown_before_serve_forever_lets_it_return_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "server = TCPServer(ADDRESS, Handler)\n"
        "asked = threading.Thread(target=server.shutdown)\nasked.start()\n"
        "while not server._asked: pass\n"
        "server.serve_forever()\nasked.join()\nserver.shutdown()\nserver.server_close()\nprint('over')\n",
    )
    found = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=False)

    assert found.stdout == "over\n", found.stderr


def test_shutdown_from_a_thread_ends_a_service_as_it_starts(serve: Serve, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "server = TCPServer(ADDRESS, Handler, workers=1)\n"
        "asked = threading.Timer(0.5, server.shutdown)\nasked.start()\n"
        "server.serve_forever()\nasked.join()\nprint('over', flush=True)\n",
    )
    server = serve(script=[sys.executable, str(path)], binds=[], cwd=tmp_path, ready=False)

    assert server.wait_exit() == 0
    assert "over" in server.log


# What goes wrong when the script is started for the second time, and did not in the probe.
SECOND = {
    "an exception": 'if os.environ.get("FORKFUL_PROBE") is None: raise ValueError("not today")\n',
    "sys.exit": 'if os.environ.get("FORKFUL_PROBE") is None: sys.exit("not today")\n',
    "its end": 'if os.environ.get("FORKFUL_PROBE") is None: sys.exit(0)\n',
    "a file that must be new": (
        'if os.environ.get("FORKFUL_PROBE") is None: os.close(os.open("lock", os.O_CREAT | os.O_EXCL))\n'
    ),
}


@pytest.mark.parametrize("what", SECOND)
def test_script_whose_second_start_fails_leaves_the_old_one_serving(what: str, serve: Serve, tmp_path: Path) -> None:
    first = SECOND[what] if "file" in what else ""
    path = write(tmp_path, first + PLAIN)
    server, door = run(serve, path)
    before = server.workers(pool_of(server))
    write(tmp_path, SECOND[what] + PLAIN, suffix=" again")
    server.may_log_tracebacks = True
    with Load(door) as load:
        load.more(10)
        server.hup(within=60)
        load.more(10)
    assert server.workers(pool_of(server)) == before
    assert server.metrics().sum("forkful_config_last_reload_successful") == 0

    server.kill(before[0], signal.SIGKILL)  # and heals
    server.wait_for_workers(2, pool=pool_of(server), besides=[before[0]])
    write(tmp_path, PLAIN, suffix=" at last")  # and reloads again
    server.hup(within=60)
    assert door.ask(b"hello") == b"hello at last"


def test_script_joins_its_group_again_on_the_socket_that_it_inherited(serve: Serve, tmp_path: Path) -> None:
    source = (
        "class Group(UDPServer):\n"
        "    def server_bind(self):\n"
        "        super().server_bind()\n"
        '        where = struct.pack("4s4s", socket.inet_aton("239.255.77.78"), socket.inet_aton("127.0.0.1"))\n'
        "        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, where)\n"
        'Group(("", 0), Handler, workers=1).serve_forever()\n'
    )
    server, door = run(serve, write(tmp_path, source))
    write(tmp_path, source, suffix=" again")
    server.hup(within=60)

    assert door.ask(b"hello") == b"hello again"


def test_script_that_binds_by_itself_is_reloaded(serve: Serve, tmp_path: Path) -> None:
    source = (
        "class Own(TCPServer):\n"
        "    def server_bind(self):\n"
        "        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "        self.socket.bind(self.server_address)\n"
        "        self.server_address = self.socket.getsockname()\n"
        "Own(ADDRESS, Handler, workers=1).serve_forever()\n"
    )
    server, door = run(serve, write(tmp_path, source))
    write(tmp_path, source, suffix=" again")
    server.hup(within=60)

    assert door.ask(b"hello") == b"hello again"


@pytest.mark.parametrize("address", ['"own.sock"', r'"\0forkful-test-%d"', r'b"\0forkful-test-%d-b"'])
def test_unix_path_may_be_relative_or_abstract(address: str, serve: Serve, tmp_path: Path) -> None:
    address = address % os.getpid() if "%d" in address else address
    source = f"UnixStreamServer({address}, Handler, workers=1).serve_forever()\n"
    server, door = run(serve, write(tmp_path, source))
    assert door.ask(b"hello") == b"hello"
    write(tmp_path, source, suffix=" again")
    server.hup(within=60)

    assert door.ask(b"hello") == b"hello again"


def test_programs_that_a_script_executes_inherit_no_blocked_signal(serve: Serve, tmp_path: Path) -> None:
    source = (
        'print(subprocess.run(["grep", "SigBlk", "/proc/self/status"], capture_output=True, text=True).stdout, end="",'
        " flush=True)\n" + PLAIN
    )
    server, _ = run(serve, write(tmp_path, source))
    server.hup(within=60)

    blocked = [line.split()[1] for line in server.log.splitlines() if line.startswith("SigBlk")]
    assert blocked
    assert set(blocked) == {"0" * 16}


def test_mixin_of_threads_gives_threads(serve: Serve, tmp_path: Path) -> None:
    source = (
        "class Own(socketserver.ThreadingMixIn, TCPServer): pass\nOwn(ADDRESS, Handler, workers=1).serve_forever()\n"
    )
    server, _ = run(serve, write(tmp_path, source))

    assert server.metrics().sum("forkful_lanes") == 16


def test_hup_while_the_script_starts_again_is_heard(serve: Serve, tmp_path: Path) -> None:
    server, door = run(serve, write(tmp_path, PLAIN))
    once = (
        'if not os.environ.get("FORKFUL_PROBE") and not os.path.exists("once"):\n'
        '    open("once", "w").close()\n'
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
    )
    write(tmp_path, once + PLAIN, suffix="!")
    server.hup(within=60)
    for word in ("RELOADING", "READY"):  # the second reload, which nobody asked for but the script
        server.wait_for(lambda record, word=word: record.get(word) == "1", what=word, within=60)  # type: ignore[misc]

    assert door.ask(b"hello") == b"hello!"
