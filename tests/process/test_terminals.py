"""A service that a terminal controls: what the kernel sends by itself means nothing, and nobody reads what is typed."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGINT, SIGTTIN, SIGTTOU, SIGWINCH, Signals

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.door import Door, door_of
from tests.kit.server import APPS, Server
from tests.kit.terminal import Terminal

Doors = Callable[[str], Door]
HANDLER = "terminals:OnTerminal"
SCRIPT = (sys.executable, str(APPS / "terminals.py"))


@pytest.fixture
def terminal() -> Iterator[Terminal]:  # before `serve`, to outlive the server: a terminal that goes away is a SIGHUP
    with Terminal() as terminal:
        yield terminal


def still_has(server: Server, workers: int) -> None:
    """The kernel's signals are sent by now, and ours after them: what they asked for would be seen."""
    server.signal(SIGTTIN)
    server.wait_for_workers(workers + 1)
    server.signal(SIGTTOU)
    server.wait_for_workers(workers)
    assert server.metrics().sum("forkful_workers_target") == workers


def test_a_resized_terminal_empties_no_pool(terminal: Terminal, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(HANDLER, "--workers", "2", binds=[door], wrapper=terminal.foreground)
    before = server.workers()
    for _ in range(3):
        terminal.resize()
        assert door.ask(b"pid")
    still_has(server, 2)
    assert before.items() <= server.workers().items()
    assert "SIGWINCH" not in server.log
    server.now_holds_more()


@pytest.mark.parametrize("sent_by", ["another process", "a shell"])
def test_winch_that_somebody_sends_still_retires_all_workers(sent_by: str, terminal: Terminal, serve: Serve) -> None:
    server = serve(HANDLER, wrapper=terminal.foreground)
    terminal.resize()
    still_has(server, 1)  # and has read that: a second one of the same number would not be seen before, signal(7)
    send(sent_by, server, SIGWINCH)
    server.wait_until(lambda: not server.pool()["workers"], what="no workers")
    terminal.resize()
    server.hup()
    server.wait_for_workers(1)


@pytest.mark.parametrize("sent_by", ["another process", "a shell"])
def test_ttin_and_ttou_that_somebody_sends_still_change_the_number(
    sent_by: str, terminal: Terminal, serve: Serve
) -> None:
    server = serve(HANDLER, "--workers", "2", wrapper=terminal.background)
    send(sent_by, server, SIGTTIN)
    server.wait_for_workers(3)
    send(sent_by, server, SIGTTOU)
    server.wait_for_workers(2)
    terminal.end_shell()
    server.now_holds_more()


def send(by: str, server: Server, number: Signals) -> None:
    if by == "a shell":
        subprocess.run(["sh", "-c", f"kill -{number.name.removeprefix('SIG')} {server.pid}"], check=True)
    else:
        os.kill(server.pid, number)


def test_a_background_job_whose_handler_reads_keeps_its_workers(terminal: Terminal, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(HANDLER, "--workers", "2", binds=[door], wrapper=terminal.background)
    for _ in range(4):
        assert door.ask(b"stdin") == b"'' b''"
    assert door.ask(b"tty") == b"Input/output error"
    still_has(server, 2)
    terminal.end_shell()
    server.now_holds_more()


def test_a_background_job_whose_handler_writes_keeps_its_workers_though_the_terminal_stops_writers(
    terminal: Terminal, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve(HANDLER, "--workers", "2", binds=[door], wrapper=terminal.background)
    terminal.stop_writers()
    assert door.ask(b"write") == b"written"
    terminal.expect("from the background")
    still_has(server, 2)
    terminal.end_shell()
    server.now_holds_more()


def test_what_is_typed_is_read_by_nobody(terminal: Terminal, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(HANDLER, "--preload", binds=[door], wrapper=terminal.foreground)
    terminal.type("typed\n")
    assert door.ask(b"stdin") == b"'' b''"
    children = {pid: title for pid, title in processes.session(server.pid).items() if pid != server.pid}
    assert {processes.descriptors(pid)[0] for pid in children} == {os.devnull}, children
    assert len(children) == 3  # mold, admin, worker


def test_a_resized_terminal_means_nothing_after_an_upgrade_either(
    terminal: Terminal, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve(HANDLER, binds=[door], wrapper=terminal.foreground)
    admin = server.child("admin")
    upgraded = server.run("upgrade", "--wait")
    assert upgraded.returncode == 0, upgraded.stderr
    server.wait_until(lambda: server.child("admin") != admin, what="an admin child of the new image")
    terminal.resize()
    still_has(server, 1)
    server.signal(SIGWINCH)
    server.wait_until(lambda: not server.pool()["workers"], what="no workers")
    server.now_holds_more()


@pytest.mark.parametrize("where", ["foreground", "background"])
def test_a_script_is_as_deaf_to_its_terminal(where: str, terminal: Terminal, serve: Serve) -> None:
    server = serve(script=SCRIPT, wrapper=getattr(terminal, where))
    door = door_of(server.listeners()[0])
    terminal.resize()
    assert door.ask(b"stdin") == b"'' b''"
    server.hup()  # which executes the script again
    terminal.resize()
    assert door.ask(b"stdin") == b"'' b''"
    still_has(server, 2)
    server.signal(SIGWINCH)
    server.wait_until(lambda: not server.pool()["workers"], what="no workers")
    if where == "background":
        terminal.end_shell()
    server.now_holds_more()


@pytest.mark.parametrize("how", ["is killed", "takes too long", "is killed at the end"])
def test_a_worker_that_dies_leaves_echo_and_lines_to_the_terminal(
    how: str, terminal: Terminal, serve: Serve, doors: Doors
) -> None:
    before, door = terminal.modes, doors("tcp")
    timeout = "1" if how == "takes too long" else "0"
    server = serve(HANDLER, "--timeout", timeout, binds=[door], wrapper=terminal.foreground)
    server.may_log_tracebacks = True
    with door.connect() as client:
        client.sendall(b"raw")
        worker = int(client.recv(9))
        assert terminal.modes != before
        if how == "is killed":
            server.kill(worker)
        if how == "is killed at the end":
            server.signal(SIGINT)
            assert server.wait_exit() == 0
        else:
            server.wait_for_workers(1, besides=[worker])
    assert terminal.modes == before


def test_in_the_background_the_terminal_is_left_as_it_is(terminal: Terminal, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(HANDLER, "--workers", "2", binds=[door], wrapper=terminal.background)
    terminal.stop_writers()  # the shell's own, meanwhile
    mine = terminal.modes
    worker = server.workers()[0]
    server.kill(worker)
    server.wait_for_workers(2, besides=[worker])
    assert terminal.modes == mine
    terminal.end_shell()


def test_what_a_script_has_read_ahead_is_not_its_workers(serve: Serve, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("one\ntwo\n")
    server = serve(script=SCRIPT, wrapper=["sh", "-c", f'exec "$@" <{lines}', "sh"])
    assert door_of(server.listeners()[0]).ask(b"stdin") == b"'' b''"
