"""A worker by itself: what handlers do to it, what it counts, and what it tells about them."""

import os
import resource
import signal
import socket
from pathlib import Path

import pytest

from forkful.worker.ipc import messages, scoreboard
from tests.process.lone_worker import ASK, ECHO, Cast, Connect, Listen, ask


def test_no_exception_ends_a_worker_and_each_is_counted(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener])
    for question in (b"r", b"x", b"i"):
        with connect(listener) as client:
            assert ask(client, question) == b""
    with connect(listener) as client:
        assert ask(client, b"_") == b"_"
    worker.until_done(4)
    assert worker.count(scoreboard.ERROR) == 3
    log = worker.log.read_text()
    assert all(name in log for name in ("LookupError: as asked", "SystemExit: 5", "KeyboardInterrupt"))
    assert "the handler failed for 127.0.0.1:" in log


def test_bytes_connections_and_losses_are_counted(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener])
    for question in (b"_", b"c"):  # `c`: the handler closes the connection itself
        with connect(listener) as client:
            client.sendall(question * 3 if question == b"_" else question)
            client.shutdown(socket.SHUT_WR)
            while client.recv(9):
                pass
    worker.until_done(2)
    assert (worker.count(scoreboard.RECEIVED), worker.count(scoreboard.SENT)) == (4, 3)
    busy = connect(listener)
    assert ask(busy, b"_") == b"_"
    worker.signal(signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
    assert worker.board.fold(worker.assignment.row, 1) == 1
    cells = worker.board.snapshot([0])[0].cells
    assert (cells[scoreboard.STARTED], cells[scoreboard.ACCEPTED], cells[scoreboard.LOST]) == (3, 3, 1)


def test_retiring_is_said_once_and_serving_goes_on(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ECHO, [listener], threads=3, max_requests=4)
    for _ in range(12):
        with connect(listener) as client:
            assert ask(client, b"x") == b"x"
    assert worker.event(messages.Retiring).reason == "max_requests"
    worker.drain()
    assert worker.wait() == 0
    worker.hear()
    events = [type(message) for message in worker.heard]
    assert events[:3] == [messages.Hello, messages.Ready, messages.Retiring]
    assert events.count(messages.Retiring) == 1


def test_shutdown_from_a_handler_asks_for_retirement(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener])
    assert ask(connect(listener), b"ss", 1) == b"s"
    assert worker.event(messages.Retiring).reason == "shutdown"
    worker.drain()
    worker.event(messages.Draining)
    assert [type(message) for message in worker.heard].count(messages.Retiring) == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_hooks_of_a_server_are_asked_and_it_is_closed_at_the_end(
    threads: int, cast: Cast, listen: Listen, connect: Connect, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    listener = listen("tcp")
    worker = cast(
        "alone:Hooked", [listener], threads=threads, prepare=lambda: os.dup2(os.open(out, os.O_CREAT | os.O_WRONLY), 1)
    )
    with connect(listener) as client:
        assert client.recv(1) == b""
    worker.until_done(1)
    with connect(listener) as client:
        assert ask(client, b"_") == b"_"
    worker.until_done(2)
    assert (worker.count(scoreboard.REFUSED), worker.count(scoreboard.RECEIVED)) == (1, 1)
    worker.drain()
    assert worker.wait() == 0
    called = out.read_text().split()
    assert [name for name in called if name != "service_actions"] == ["get_request", "verify_request"] * 2


def test_a_process_that_a_handler_forks_is_its_own(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener], threads=2)
    client = connect(listener)
    assert ask(client, b"f") == b"%d" % signal.SIGTERM
    assert ask(client, b"d") == b"n"
    assert worker.log.read_text() == ""


def test_a_default_timeout_of_the_users_is_for_their_sockets_only(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    cast(ASK, [listener])
    assert ask(connect(listener), b"t") == b"300"


@pytest.mark.parametrize("threads", [1, 2])
def test_stacks_are_told_without_harm(threads: int, cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener], threads=threads)
    client = connect(listener)
    assert ask(client, b"_") == b"_"
    worker.channel.send(messages.Stacks())
    worker.channel.send(messages.Reopen())
    worker.drain()
    assert ask(client, b"w") == b"goodbye"
    client.close()
    assert worker.wait() == 0
    log = worker.log.read_text()
    assert f"busy for 127.0.0.1:{client.getsockname()[1] if client.fileno() >= 0 else ''}" in log
    assert "alone.py" in log


def test_an_abort_shows_all_stacks_and_ends(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener], threads=2, prepare=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
    assert ask(connect(listener), b"_") == b"_"
    worker.signal(signal.SIGABRT)
    assert worker.wait() == -signal.SIGABRT
    log = worker.log.read_text()
    assert "Fatal Python error: Aborted" in log
    assert "in handle" in log
