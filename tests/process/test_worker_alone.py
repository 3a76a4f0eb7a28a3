"""A worker by itself: it loads, serves, drains, is told to stop, and leaves, on each kind of socket."""

import random
import signal
import socket

import pytest

from forkful.worker.ipc import messages, scoreboard
from tests.process.lone_worker import ASK, DATAGRAM, ECHO, PACKETS, PATIENCE, Cast, Connect, Listen, ask


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("kind", ["tcp", "unix", "udp", "unixgram"])
def test_it_serves_and_leaves_at_once_when_idle(
    kind: str, threads: int, cast: Cast, listen: Listen, connect: Connect
) -> None:
    listener = listen(kind)
    worker = cast(PACKETS if kind in {"udp", "unixgram"} else ECHO, [listener], threads=threads)
    assert worker.event(messages.Hello).pid == worker.pid
    for number in range(5):
        with connect(listener) as client:
            assert ask(client, b"%d" % number) == b"%d" % number
    worker.until_done(5)
    worker.signal(signal.SIGTERM)
    assert worker.event(messages.Retiring).reason == "signal"  # it serves on until the master has a successor, or stops
    with connect(listener) as client:
        assert ask(client, b"still") == b"still"
    worker.drain()
    assert worker.wait() == 0
    assert worker.log.read_text() == ""


def test_a_busy_lane_finishes_and_nothing_more_is_taken(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener])
    busy = connect(listener)
    assert ask(busy, b"d") == b"n"
    queued = connect(listener)
    worker.drain()
    assert ask(busy, b"w") == b"goodbye"
    assert ask(busy, b"d") == b"y"
    busy.close()
    assert worker.wait() == 0
    assert worker.count(scoreboard.STARTED) == 1
    taken, _ = listener.accept()  # others still hold the listener, and its queue is untouched
    taken.sendall(b"!")
    taken.close()
    assert queued.recv(1) == b"!"


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_no_drain_loses_what_was_in_the_queue(kind: str, cast: Cast, listen: Listen, connect: Connect) -> None:
    randomly = random.Random(7)
    listener = listen(kind)
    worker = None
    for _ in range(20):
        worker = cast(PACKETS if kind == "udp" else ECHO, [listener], threads=randomly.choice((1, 4, 16)))
        clients = [connect(listener) for _ in range(randomly.randrange(12))]
        for client in clients:
            client.sendall(b"x")
        worker.drain()
        for client in clients:
            if kind == "tcp":
                client.shutdown(socket.SHUT_WR)
        assert worker.wait() == 0
        listener.setblocking(False)
        left = 0
        while True:
            try:
                listener.recv(9) if kind == "udp" else listener.accept()[0].close()
                left += 1
            except BlockingIOError:
                break
        listener.setblocking(True)
        assert worker.done() + left == len(clients)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_queue_that_is_to_be_emptied_is_answered_first(
    kind: str, cast: Cast, listen: Listen, connect: Connect
) -> None:
    listener, other = listen(kind), listen(kind)
    worker = cast(DATAGRAM if kind == "udp" else ASK, [listener, other], threads=4)  # two for each
    busy = connect(listener)
    busy.sendall(b"hold" if kind == "udp" else b"w")
    worker.until_busy()
    clients = [connect(listener) for _ in range(6)]
    for client in clients:
        client.sendall(b"_")
        if kind == "tcp":
            client.shutdown(socket.SHUT_WR)
    worker.drain([0])
    for client in clients:
        assert client.recv(9) == b"_"
    assert busy.recv(9) in {b"hold", b"goodbye"}
    busy.close()
    assert worker.wait() == 0
    assert worker.done() == 7


def test_emptying_ends_at_half_of_the_time_given(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener])
    busy, queued = connect(listener), connect(listener)
    assert ask(busy, b"_") == b"_"
    worker.drain([0], timeout=0.02)
    worker.signal(signal.SIGURG)  # means nothing
    queued.settimeout(0.2)
    with pytest.raises(TimeoutError):
        queued.recv(1)
    busy.close()
    assert worker.wait() == 0
    assert worker.done() == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_the_end_of_the_lifeline_is_a_drain(threads: int, cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener], threads=threads)
    clients = [connect(listener) for _ in range(threads)]
    for client in clients:
        client.sendall(b"w")
    worker.until_busy(threads)
    queued = connect(listener)
    queued.sendall(b"_")
    queued.shutdown(socket.SHUT_WR)
    worker.channel.close()
    for client in clients:
        assert client.recv(9) == b"goodbye"
        client.close()
    assert queued.recv(1) == b"_"
    assert worker.wait() == 0


def test_an_orphan_enforces_the_graceful_timeout_itself(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener], graceful_timeout=0.1)
    busy = connect(listener)
    assert ask(busy, b"_") == b"_"
    worker.channel.close()
    assert worker.wait() == 1
    assert "still busy after 0.1 s without a master" in worker.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_quick_stop_waits_for_nobody(
    number: signal.Signals, threads: int, cast: Cast, listen: Listen, connect: Connect
) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener], threads=threads)
    busy = connect(listener)
    assert ask(busy, b"_") == b"_"
    worker.signal(number)
    assert worker.wait() == 0


def test_other_signals_mean_nothing(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ECHO, [listener])
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU):
        worker.signal(number)
    assert ask(connect(listener), b"here") == b"here"


def test_a_handler_that_cannot_be_loaded_is_told_and_has_its_exit_code(cast: Cast, listen: Listen) -> None:
    worker = cast("alone:Asks", [listen("tcp")], ready=False)
    failed = worker.event(messages.Failed)
    assert (failed.kind, "is it Ask?" in failed.message) == ("load", True)
    assert worker.wait() == 4


def test_whatever_else_fails_before_ready_is_told_and_has_its_exit_code(cast: Cast, listen: Listen) -> None:
    worker = cast(ECHO, [listen("tcp")], ready=False, max_requests_jitter=-1, max_requests=1)
    failed = worker.event(messages.Failed)
    assert (failed.kind, "ZeroDivisionError" in failed.traceback) == ("boot", True)
    assert worker.wait() == 3


def test_a_worker_that_still_loads_can_be_stopped(cast: Cast, listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        monkeypatch.setenv("WAIT_FD", str(theirs.fileno()))
        worker = cast("waiting:Handler", [listen("tcp")], ready=False, prepare=ours.close)
        ours.settimeout(PATIENCE)
        assert ours.recv(1) == b"!"
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
