"""A start that is interrupted: whatever signal comes, at whatever moment, does what it says or waits for its time."""

from collections.abc import Callable
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH, Signals

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.app import App
from tests.kit.door import Door
from tests.kit.server import Server
from tests.kit.wait import PATIENCE

Doors = Callable[[str], Door]

#: Says that it is imported, and goes on when it is let through.
SLOW = """
import os
with open(os.environ["EVENTS"], "a") as events:
    events.write("importing\\n")
with open(os.environ["GATE"], "rb", buffering=0) as gate:
    gate.read(1)
"""
#: A handler behind it that says so when it serves, and answers when it is let through.
STAGED = """
from socketserver import BaseRequestHandler
class Handler(BaseRequestHandler):
    def handle(self):
        data = self.request.recv(10)
        with open(os.environ["EVENTS"], "a") as events:
            events.write("serving\\n")
        with open(os.environ["GATE"], "rb", buffering=0) as gate:
            gate.read(1)
        self.request.sendall(data)
"""
STOPS = pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGQUIT])
SETTINGS = '[pool.main]\nhandler = "classic:EchoHandler"\nworkers = 2\nbind = ["{}"]\n'
OTHERS = pytest.mark.parametrize("number", [SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU])


def slow(app: App) -> str:
    app.write(SLOW + app.path.read_text())
    return app.handler


def workers(server: Server) -> int:
    return sum(": worker" in title for title in processes.session(server.pid).values())


def blocked(server: Server) -> int:
    """The signals that wait, as a mask: proc(5)."""
    line = next(x for x in Path(f"/proc/{server.pid}/status").read_text().splitlines() if x.startswith("SigBlk"))
    return int(line.split()[1], 16)


# -- while workers are on their way ------------------------------------------------------------------------------------


@STOPS
@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["a worker imports", "the mold imports"])
def test_stop_before_the_first_worker_is_ready_ends_it(
    number: Signals, preload: tuple[str, ...], serve: Serve, app: App
) -> None:
    server = serve(slow(app), "--workers", "2", *preload, cwd=app.folder, ready=False)
    server.events.expect("importing")
    server.signal(number)

    assert server.wait_exit(within=15.0) == 0


def test_stop_command_before_the_first_worker_is_ready_ends_it(serve: Serve, app: App) -> None:
    server = serve(slow(app), "--workers", "2", cwd=app.folder, ready=False)
    server.events.expect("importing")
    result = server.run("stop")

    assert result.returncode == 0, result.stderr
    assert server.wait_exit(within=15.0) == 0


def test_stop_between_the_first_worker_and_the_second_finishes_what_the_first_has(
    serve: Serve, doors: Doors, app: App
) -> None:
    app.write(SLOW + STAGED)
    door = doors("tcp")
    server = serve(app.handler, "--workers", "2", binds=[door], cwd=app.folder, ready=False)
    for _ in range(2):
        server.events.expect("importing")
    server.events.let_through()
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("serving")
        server.signal(SIGTERM)
        server.wait_until(lambda: workers(server) == 1, what="the end of the worker that imports")
        server.events.let_through()
        assert client.recv(10) == b"wait"
    assert server.wait_exit() == 0


@pytest.mark.parametrize("number", [SIGHUP, SIGUSR2])
def test_reload_asked_for_during_the_start_comes_after_it(number: Signals, serve: Serve, app: App) -> None:
    server = serve(slow(app), "--workers", "1", cwd=app.folder, ready=False)
    server.events.expect("importing")
    server.signal(number)
    app.echo(suffix=b" anew")
    server.events.let_through()
    server.wait_ready()
    server.wait_for(lambda record: record.get("RELOADING") == "1", what="RELOADING=1")
    server.wait_for(lambda record: record.get("READY") == "1", what="READY=1 of the reload")

    assert server.status()["generation"] == 2


# -- while the settings are read ---------------------------------------------------------------------------------------
# An address without a scheme has `forkful serve` ask the handler, in a child that imports it if its source hides it.


def hidden(app: App) -> str:
    app.write(SLOW + app.path.read_text() + 'Handler = vars()["Handler"]\n')
    return app.handler


@STOPS
def test_stop_while_the_settings_are_read_ends_it(number: Signals, serve: Serve, app: App) -> None:
    server = serve(hidden(app), "--bind", "127.0.0.1:0", binds=[], cwd=app.folder, ready=False)
    server.events.expect("importing")
    server.signal(number)

    assert server.wait_exit(within=15.0) == 0


@OTHERS
def test_signal_while_the_settings_are_read_waits_for_the_master(number: Signals, serve: Serve, app: App) -> None:
    server = serve(hidden(app), "--bind", "127.0.0.1:0", binds=[], cwd=app.folder, ready=False)
    server.events.expect("importing")
    server.signal(number)
    server.events.let_through(50)
    server.wait_ready()
    if number in (SIGHUP, SIGUSR2):
        server.wait_until(lambda: server.status()["generation"] == 2, what="the reload", within=60.0)
        server.wait_until(lambda: server.status()["phase"] == "RUNNING", what="its end", within=60.0)

    assert server.running


@STOPS
def test_stop_while_the_master_is_executed_ends_it(number: Signals, serve: Serve) -> None:
    server = serve("classic:EchoHandler", ready=False)
    server.wait_until(lambda: "master.main" in processes.title(server.pid), what="the execution of the master")
    server.signal(number)

    assert server.wait_exit(within=15.0) == 0


@pytest.mark.parametrize("number", [SIGHUP, SIGUSR1, SIGTTIN])
def test_signals_all_through_a_start_harm_nobody(number: Signals, serve: Serve) -> None:
    server = serve("classic:EchoHandler", ready=False)
    server.wait_until(lambda: blocked(server) >> (number - 1) & 1, what="the first code of ours")

    def started() -> bool:
        server.signal(number)
        return "ready" in server.log

    server.wait_until(started, what="a worker, under a hail of signals")
    # Each TTIN is a worker more: what the master holds is known once the last of them is there.
    server.wait_until(lambda: len(server.workers()) == server.pool()["target"], what="all of them", within=4 * PATIENCE)
    server.now_holds_more()


def test_a_start_that_was_left_without_workers_says_that_none_is_ready(serve: Serve, doors: Doors, app: App) -> None:
    server = serve(slow(app), "--preload", "--workers", "2", binds=[doors("tcp")], cwd=app.folder, ready=False)
    server.events.expect("importing")
    server.signal(SIGWINCH)
    server.events.let_through()
    server.wait_until(lambda: "serving:" in server.log, what="the end of the start")

    assert server.pool()["workers"] == []
    assert " 0 worker(s) ready" in server.log


# -- WINCH, and a reload that fails ------------------------------------------------------------------------------------


def test_workers_that_winch_retired_come_back_though_the_reload_fails(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(binds=[door], config=SETTINGS.format(door.url))
    server.signal(SIGWINCH)
    server.wait_until(lambda: not server.pool()["workers"], what="no workers")
    server.configure("no settings")
    result = server.reload()

    assert result.returncode != 0
    server.wait_for_workers(2)
    assert door.ask(b"old") == b"old"


def test_workers_come_back_though_the_new_code_cannot_be_imported(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    server = serve(app.handler, "--preload", "--workers", "2", binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    server.signal(SIGWINCH)
    server.wait_until(lambda: not server.pool()["workers"], what="no workers")
    app.write("import no_such_module\n")
    result = server.reload()

    assert result.returncode != 0
    server.wait_for_workers(2)
    assert door.ask(b"old") == b"old"


def test_winch_after_the_reload_was_asked_for_stays(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    server = serve(slow(app), "--preload", binds=[door], cwd=app.folder, ready=False)
    server.events.let_through()
    server.wait_ready()
    server.signal(SIGHUP)
    server.events.expect("importing")
    server.events.expect("importing")
    server.signal(SIGWINCH)
    server.wait_until(lambda: not server.pool()["workers"], what="no workers")
    app.write("import no_such_module\n")
    server.events.let_through()
    server.wait_until(lambda: server.status()["phase"] == "RUNNING", what="the end of the reload")

    assert server.pool()["workers"] == []
