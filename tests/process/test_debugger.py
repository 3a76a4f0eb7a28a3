"""`debug`: a debugger at the terminal has all the time it needs, at the start and after a reload."""

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Serve
from tests.kit.app import App
from tests.kit.door import Door
from tests.kit.server import Server
from tests.kit.terminal import Terminal
from tests.kit.wait import readable

Doors = Callable[[str], Door]
HANDLER = """\
from socketserver import BaseRequestHandler

class Handler(BaseRequestHandler):
    def handle(self):
        said = self.request.recv(100)
        if said == b"ask":
            said = input("what? ").encode()
        else:
            breakpoint()
            pass
        self.request.sendall(said)
"""
CONFIG = """
    [master]
    debug = {}
    [pool.main]
    handler = "versioned:Handler"
    bind = ["{}"]
    timeout = 1
    boot_timeout = 1
    """


@pytest.fixture
def terminal() -> Iterator[Terminal]:  # before `serve`, as in test_terminals
    with Terminal() as terminal:
        yield terminal


def debug(server: Server, door: Door, terminal: Terminal) -> None:
    """A session that takes longer than `timeout`, and changes the answer."""
    before, prompts, deaths = server.workers(), server.log.count("(Pdb)"), server.pool()["deaths"]
    with door.connect() as client:
        client.sendall(b"debug")
        server.wait_for_log("(Pdb)", count=prompts + 1)
        terminal.type("p 6 * 7\n")
        server.wait_for_log("42\n")
        assert not readable(client.fileno(), within=3.0), "it waits, however long we think"
        terminal.type("!said = b'thought of'\n")
        terminal.type("c\n")
        assert client.recv(100) == b"thought of"
    with door.connect() as client:
        client.sendall(b"ask")
        server.wait_for_log("what? ")
        terminal.type("this\n")
        assert client.recv(100) == b"this"
    assert server.workers() == before
    assert server.pool()["deaths"] == deaths


@pytest.mark.parametrize("when", ["at the start", "after a reload"])
def test_debugger_outlives_timeout(when: str, terminal: Terminal, serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    url = door.url
    app.write(HANDLER)
    now = str(when == "at the start").lower()
    server = serve(config=CONFIG.format(now, url), binds=[door], cwd=app.folder, wrapper=terminal.foreground)
    if when == "after a reload":
        server.may_log_tracebacks = True
        assert door.ask(b"debug") == b"", "a prompt that nobody can answer ends at once"
        server.configure(CONFIG.format("true", url))
        assert server.reload().returncode == 0
    debug(server, door, terminal)


def test_breakpoint_while_the_handler_is_imported_outlives_boot_timeout(
    terminal: Terminal, serve: Serve, doors: Doors, app: App
) -> None:
    door = doors("tcp")
    app.write("breakpoint()\n" + HANDLER)
    server = serve(
        config=CONFIG.format("true", door.url),
        binds=[door],
        cwd=app.folder,
        wrapper=terminal.foreground,
        ready=False,
    )
    server.wait_for_log("(Pdb)")
    terminal.type("import threading; threading.Event().wait(3)\n")
    terminal.type("c\n")
    server.wait_ready()
    debug(server, door, terminal)


def test_worker_that_is_killed_at_its_prompt_leaves_the_terminal_as_it_was(
    terminal: Terminal, serve: Serve, doors: Doors, app: App
) -> None:
    before, door = terminal.modes, doors("tcp")
    app.write(HANDLER)
    server = serve(config=CONFIG.format("true", door.url), binds=[door], cwd=app.folder, wrapper=terminal.foreground)
    with door.connect() as client:
        client.sendall(b"debug")
        server.wait_for_log("(Pdb)")
        worker = server.workers()[0]
        server.kill(worker)
        server.wait_for_workers(1, besides=[worker])
    assert terminal.modes == before
    debug(server, door, terminal)
