"""`forkful stop --wait`: who is still busy, until the kernel says that the master has ended."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from signal import SIGINT
from threading import Thread

import pytest

from forkful.master.cli import stop_watch
from forkful.master.cli.client import ClientError
from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.server import CLI, Server
from tests.kit.wait import PATIENCE

Doors = Callable[[str], Door]
Command = subprocess.Popen[str]
Begin = Callable[..., Command]


@pytest.fixture
def stopping() -> Iterator[Begin]:
    """Begin `forkful stop --wait`; its lines are read from `stdout`."""
    with ExitStack() as life:

        def begin(server: Server, *flags: str) -> Command:
            default = ("env", "--default-signal=INT")  # a shell's background job ignores it
            command = [*default, *CLI, "stop", "--wait", *flags, "--admin", f"unix://{server.admin.path}"]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            life.enter_context(process)
            life.callback(process.kill)
            return process

        yield begin


def line(command: Command) -> str:
    """Its next line, or nothing once patience or the command has ended."""
    assert command.stdout is not None
    found: list[str] = []
    stdout = command.stdout
    reader = Thread(target=lambda: found.append(stdout.readline()), daemon=True)
    reader.start()
    reader.join(PATIENCE)
    return found[0] if found else ""


BUSY = r"main\[0\] pid {pid}: {count} in flight, the longest for [0-9.]+ s\n"


def test_it_shows_who_is_busy_and_returns_when_the_process_has_ended(
    serve: Serve, doors: Doors, stopping: Begin
) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--threads", "3", "--graceful-timeout", "60", binds=[door])
    pid = server.workers()[0]
    with door.connect() as one, door.connect() as other:
        server.wait_until(lambda: server.pool()["in_flight"] == 2, what="two in flight")
        command = stopping(server)
        assert re.fullmatch(BUSY.format(pid=pid, count=2), line(command))
        one.sendall(b"1")
        assert one.recv(9) == b"1"
        assert re.fullmatch(BUSY.format(pid=pid, count=1), line(command))
        assert command.poll() is None
        other.sendall(b"2")
        assert other.recv(9) == b"2"
    assert command.wait(PATIENCE) == 0
    assert os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None, "it has ended"
    assert line(command).startswith("stopped after ")
    assert server.wait_exit() == 0


def test_event_loops_say_how_long_as_well(serve: Serve, doors: Doors, stopping: Begin) -> None:
    door = doors("tcp")
    server = serve("loops:echo", "--graceful-timeout", "60", binds=[door])
    pid = server.workers()[0]
    with door.connect():
        server.wait_until(lambda: server.pool()["in_flight"] == 1, what="one in flight")
        command = stopping(server)
        assert re.fullmatch(BUSY.format(pid=pid, count=1), line(command))
    assert command.wait(PATIENCE) == 0


def test_several_may_wait_and_one_may_hurry(serve: Serve, doors: Doors, stopping: Begin) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--graceful-timeout", "60", binds=[door])
    with door.connect():
        server.wait_until(lambda: server.pool()["in_flight"] == 1, what="one in flight")
        patient = [stopping(server), stopping(server)]
        assert all("1 in flight" in line(command) for command in patient)
        assert stopping(server, "--quick").wait(PATIENCE) == 0
        assert [command.wait(PATIENCE) for command in patient] == [0, 0]
    assert server.wait_exit() == 0


def test_who_gives_up_waiting_does_not_end_the_stop(serve: Serve, doors: Doors, stopping: Begin) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--graceful-timeout", "60", binds=[door])
    with door.connect() as client:
        server.wait_until(lambda: server.pool()["in_flight"] == 1, what="one in flight")
        command = stopping(server)
        assert "1 in flight" in line(command)
        command.send_signal(SIGINT)
        assert command.wait(PATIENCE) == 1
        assert server.running
        client.sendall(b"x")
        assert client.recv(9) == b"x"
    assert server.wait_exit() == 0


def test_another_process_than_a_master_is_not_waited_for() -> None:
    with pytest.raises(ClientError, match="not to be seen from here"):
        stop_watch.process("unix:///run/x.sock", os.getpid(), 0, -1)
