"""The drop-in: a script whose only change is the import becomes a prefork service."""

import sys
from pathlib import Path
from signal import SIGHUP, SIGKILL

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, door_of
from tests.kit.load import Load
from tests.kit.server import Server
from tests.kit.wait import PATIENCE

STREAM_HANDLER = """
class MyHandler(BaseRequestHandler):
    def handle(self):
        self.data = self.request.recv(1024)
        self.request.sendall(self.data + SUFFIX)
"""
DATAGRAM_HANDLER = """
class MyHandler(BaseRequestHandler):
    def handle(self):
        data, socket = self.request
        socket.sendto(data + SUFFIX, self.client_address)
"""
# The program of the socketserver documentation; the first line is the only one that is not its own.
SCRIPT = """\
from forkful.master import {name}
from socketserver import BaseRequestHandler
import socket

SUFFIX = {suffix!r}
{handler}

class MyServer({name}):
    address_family = {family}
    motto = "mine"

if __name__ == "__main__":
    with MyServer({address!r}, MyHandler{keywords}) as server:
        server.serve_forever()
"""


def script(  # one argument for each blank of the form
    folder: Path, name: str, *, address: object = None, family: str = "AF_INET", suffix: bytes = b"", keywords: str = ""
) -> Path:
    handler = DATAGRAM_HANDLER if "UDP" in name or "Datagram" in name else STREAM_HANDLER
    path = folder / "program.py"
    path.write_text(
        SCRIPT.format(
            name=name,
            suffix=suffix,
            handler=handler,
            family=f"socket.{family}",
            address=("127.0.0.1", 0) if address is None else address,
            keywords=keywords,
        )
    )
    return path


def run(serve: Serve, path: Path, **env: str) -> tuple[Server, Door]:
    server = serve(script=[sys.executable, str(path)], binds=[], cwd=path.parent, env=env)
    (url,) = server.listeners(server.status()["pools"][0]["name"])
    return server, door_of(url)


def pool_of(server: Server) -> str:
    return str(server.status()["pools"][0]["name"])


@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer", "ForkingTCPServer"])
def test_stream_server_is_a_drop_in(name: str, serve: Serve, tmp_path: Path) -> None:
    _, door = run(serve, script(tmp_path, name))

    assert [door.ask(b"%d" % n) for n in range(10)] == [b"%d" % n for n in range(10)]


@pytest.mark.parametrize("name", ["UDPServer", "ThreadingUDPServer", "ForkingUDPServer"])
def test_datagram_server_is_a_drop_in(name: str, serve: Serve, tmp_path: Path) -> None:
    _, door = run(serve, script(tmp_path, name))

    assert [door.ask(b"%d" % n) for n in range(10)] == [b"%d" % n for n in range(10)]


@pytest.mark.parametrize("name", ["UnixStreamServer", "ThreadingUnixStreamServer", "UnixDatagramServer"])
def test_unix_server_is_a_drop_in(name: str, serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "own.sock"
    _, door = run(serve, script(tmp_path, name, address=str(path), family="AF_UNIX"))

    assert door.ask(b"hello") == b"hello"


@pytest.mark.parametrize("name", ["TCPServer", "UDPServer"])
def test_ipv6_is_what_the_subclass_says(name: str, serve: Serve, tmp_path: Path) -> None:
    _, door = run(serve, script(tmp_path, name, address=("::1", 0), family="AF_INET6"))

    assert door.at("::1").ask(b"six") == b"six"


def test_keywords_and_environment_set_the_rest(serve: Serve, tmp_path: Path) -> None:
    server, _ = run(serve, script(tmp_path, "TCPServer", keywords=", workers=3"))
    assert len(server.workers(pool_of(server))) == 3


def test_environment_sets_what_no_keyword_says(serve: Serve, tmp_path: Path) -> None:
    server, _ = run(serve, script(tmp_path, "TCPServer"), FORKFUL_WORKERS="2")
    assert len(server.workers(pool_of(server))) == 2


def test_worker_that_is_killed_is_replaced(serve: Serve, tmp_path: Path) -> None:
    server, door = run(serve, script(tmp_path, "TCPServer", keywords=", workers=2"))
    victim = server.workers(pool_of(server))[0]
    server.kill(victim, SIGKILL)
    server.wait_for_workers(2, pool=pool_of(server), besides=[victim])

    assert door.ask(b"alive") == b"alive"


@pytest.mark.parametrize("name", ["TCPServer", "UDPServer", "UnixStreamServer", "UnixDatagramServer"])
def test_hup_executes_the_changed_script_in_place_and_loses_nothing(name: str, serve: Serve, tmp_path: Path) -> None:
    place: dict[str, object] = {"keywords": ", workers=2"}
    if name.startswith("Unix"):
        place |= {"address": str(tmp_path / "own.sock"), "family": "AF_UNIX"}
    path = script(tmp_path, name, **place)  # type: ignore[arg-type]  # its keywords, of several types
    server, door = run(serve, path)
    with Load(door) as load:
        load.more(20)
        server.hup(within=3 * PATIENCE)  # a probe, then the script once more: several starts of Python
        load.more(20)
    assert door_of(server.listeners(pool_of(server))[0]) == door, "the listener was kept"
    server.wait_for_workers(2, pool=pool_of(server))
    server.now_holds_more()  # the script's own reference to the socket it was handed; the next image adds none

    script(tmp_path, name, suffix=b" again", **place)  # type: ignore[arg-type]  # as above
    server.hup(within=3 * PATIENCE)  # a probe, then the script once more: several starts of Python
    assert door.ask(b"hello") == b"hello again"


def test_hup_with_a_broken_script_changes_nothing(serve: Serve, tmp_path: Path) -> None:
    path = script(tmp_path, "TCPServer", keywords=", workers=2")
    server, door = run(serve, path)
    before = server.workers(pool_of(server))
    path.write_text("from forkful.master import TCPServer\nclass (:\n")
    server.may_log_tracebacks = True
    with Load(door) as load:
        server.signal(SIGHUP)
        server.wait_for_log("SyntaxError")
        load.more(20)
    assert server.workers(pool_of(server)) == before


def test_shutdown_ends_serve_forever_and_the_script_goes_on(serve: Serve, tmp_path: Path) -> None:
    path = script(tmp_path, "TCPServer")
    with path.open("a") as program:
        program.write('    print("after the with block", flush=True)\n')
    server, _ = run(serve, path)
    server.process.terminate()

    assert server.wait_exit() == 0
    assert "after the with block" in server.log
