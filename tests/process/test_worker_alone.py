"""A worker by itself: it serves, drains, is told to stop, counts, and leaves, on each kind of socket."""

import itertools
import os
import random
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from forkful.worker import scoreboard
from tests.kit.server import APPS
from tests.kit.wait import until
from tests.process.lone_worker import PATIENCE, Cast, caster

ECHO, PACKETS = "forkful.handlers.echo:EchoStream", "forkful.handlers.echo:EchoDatagram"
ASK, DATAGRAM = "alone:Ask", "alone:Datagram"
STREAMS, DATAGRAMS = ("tcp", "unix"), ("udp", "unixgram")

Listen = Callable[[str], socket.socket]


@pytest.fixture
def cast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cast]:
    monkeypatch.syspath_prepend(str(APPS))
    with caster(tmp_path) as cast:
        yield cast


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Listen]:
    """Bind a listener of a kind."""
    with ExitStack() as stack:

        def bind(kind: str = "tcp") -> socket.socket:
            family = socket.AF_UNIX if kind.startswith("unix") else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_DGRAM if kind in DATAGRAMS else socket.SOCK_STREAM)
            stack.enter_context(sock)
            sock.bind(str(tmp_path / kind) if family == socket.AF_UNIX else ("127.0.0.1", 0))
            if kind in STREAMS:
                sock.listen(100)
            return sock

        yield bind


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[socket.socket], socket.socket]]:
    """Connect to a listener; a Unix datagram socket gets a name to be answered at."""
    numbers = itertools.count()
    with ExitStack() as stack:

        def call(listener: socket.socket) -> socket.socket:
            client = stack.enter_context(socket.socket(listener.family, listener.type))
            client.settimeout(PATIENCE)
            if listener.family == socket.AF_UNIX and listener.type == socket.SOCK_DGRAM:
                client.bind(str(tmp_path / f"client{next(numbers)}"))
            client.connect(listener.getsockname())
            return client

        yield call


Connect = Callable[[socket.socket], socket.socket]


def ask(client: socket.socket, question: bytes, size: int = 100) -> bytes:
    client.sendall(question)
    return client.recv(size)


# -- life and leaving ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("kind", [*STREAMS, *DATAGRAMS])
def test_it_serves_and_leaves_at_once_when_idle(
    kind: str, threads: int, cast: Cast, listen: Listen, connect: Connect
) -> None:
    listener = listen(kind)
    worker = cast(PACKETS if kind in DATAGRAMS else ECHO, [listener], threads=threads)
    assert worker.event("hello")["pid"] == worker.pid
    for number in range(5):
        with connect(listener) as client:
            assert ask(client, b"%d" % number) == b"%d" % number
    worker.until_done(5)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert worker.log.read_text() == ""


def test_a_busy_lane_finishes_and_nothing_more_is_taken(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener])
    busy = connect(listener)
    assert ask(busy, b"d") == b"n"
    queued = connect(listener)
    worker.signal(signal.SIGTERM)
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


# -- loading ---------------------------------------------------------------------------------------------------------


def test_a_handler_that_cannot_be_loaded_is_told_and_has_its_exit_code(cast: Cast, listen: Listen) -> None:
    worker = cast("alone:Asks", [listen("tcp")], ready=False)
    failed = worker.event("failed")
    assert (failed["kind"], "is it Ask?" in failed["message"]) == ("load", True)
    assert worker.wait() == 4


def test_whatever_else_fails_before_ready_is_told_and_has_its_exit_code(cast: Cast, listen: Listen) -> None:
    worker = cast(ECHO, [listen("tcp")], ready=False, max_requests_jitter=-1, max_requests=1)
    failed = worker.event("failed")
    assert (failed["kind"], "ZeroDivisionError" in failed["traceback"]) == ("boot", True)
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


# -- what handlers do ------------------------------------------------------------------------------------------------


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
    assert worker.board.fold(worker.seat.row, 1) == 1
    cells = worker.board.snapshot([0])[0].cells
    assert (cells[scoreboard.STARTED], cells[scoreboard.ACCEPTED], cells[scoreboard.LOST]) == (3, 3, 1)


def test_retiring_is_said_once_and_serving_goes_on(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ECHO, [listener], threads=3, max_requests=4)
    for _ in range(12):
        with connect(listener) as client:
            assert ask(client, b"x") == b"x"
    assert worker.event("retiring")["reason"] == "max_requests"
    worker.drain()
    assert worker.wait() == 0
    worker.messages += worker.channel.receive()
    events = [message["event"] for message in worker.messages]
    assert events[:3] == ["hello", "ready", "retiring"]
    assert events.count("retiring") == 1


def test_shutdown_from_a_handler_asks_for_retirement(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener])
    assert ask(connect(listener), b"s") == b"s"
    assert worker.event("retiring")["reason"] == "shutdown"


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
    assert out.read_text() == "get_request verify_request service_actions get_request verify_request service_actions"


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


def leave_few_descriptors() -> None:
    """Some for what a worker opens, and less than 30 for connections."""
    while (last := os.open(os.devnull, os.O_RDONLY)) < 300:
        pass
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


# -- what the machine does -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [[], [0, 1], [1]])
def test_one_lane_serves_several_listeners(empty: list[int], cast: Cast, listen: Listen, connect: Connect) -> None:
    listeners = [listen("tcp"), listen("unix")]
    worker = cast(ECHO, listeners, threads=1)
    for listener in listeners * 2:
        with connect(listener) as client:
            assert ask(client, b"x") == b"x"
    worker.until_done(4)
    assert worker.row()[scoreboard.ACCEPTED : scoreboard.ACCEPTED + 2] == [2, 2]
    worker.drain(empty)
    assert worker.wait() == 0


def test_a_listener_that_others_made_non_blocking_is_served(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ECHO, [listener], threads=2)
    listener.setblocking(False)
    for _ in range(6):
        with connect(listener) as client:
            assert ask(client, b"x") == b"x"
    worker.until_done(6)
    worker.drain()
    assert worker.wait() == 0


def test_running_out_of_descriptors_pauses_and_goes_on(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ECHO, [listener], threads=40, prepare=leave_few_descriptors)
    clients = [connect(listener) for _ in range(30)]
    for client in clients:
        client.sendall(b"x")
    until(lambda: "EMFILE" in worker.log.read_text(), what="trouble in the log")
    for client in clients:
        assert client.recv(1) == b"x"
        client.close()
    log = worker.log.read_text()
    assert log.count("cannot accept: EMFILE") == 1
    assert "ulimit -n" in log
    worker.drain([0])
    assert worker.wait() == 0


def test_a_worker_without_descriptors_can_be_drained(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ECHO, [listener], threads=40, prepare=leave_few_descriptors)
    clients = [connect(listener) for _ in range(30)]
    until(lambda: "EMFILE" in worker.log.read_text(), what="trouble in the log")
    worker.channel.send({"command": "stacks"})
    worker.drain()
    worker.event("draining")
    for client in clients:
        client.close()
    assert worker.wait() == 0
    assert worker.done() < 30


def test_a_datagram_may_be_as_long_as_they_get(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("udp")
    cast(PACKETS, [listener])
    client = connect(listener)
    assert len(ask(client, bytes(65_507), 70_000)) == 65_507


def test_a_reply_that_met_nobody_is_survived(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("udp")
    listener.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR: replies' errors are reported on the shared socket
    worker = cast(PACKETS, [listener])
    for _ in range(5):
        with connect(listener) as client:
            client.send(b"and gone")
    client = connect(listener)
    client.settimeout(0.05)
    for _ in range(100):  # its own datagram may meet the error of an earlier one
        client.send(b"here")
        try:
            assert client.recv(9) == b"here"
            break
        except TimeoutError:
            continue
    worker.drain()
    assert worker.wait() == 0
    assert worker.count(scoreboard.ERROR) == 0


def test_a_busy_datagram_handler_can_answer_while_draining(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("udp")
    worker = cast(DATAGRAM, [listener])
    client = connect(listener)
    client.send(b"hold")
    worker.until_busy()
    worker.signal(signal.SIGTERM)
    assert client.recv(9) == b"hold"
    assert worker.wait() == 0


# -- stacks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_stacks_are_told_without_harm(threads: int, cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ASK, [listener], threads=threads)
    client = connect(listener)
    assert ask(client, b"_") == b"_"
    worker.channel.send({"command": "stacks"})
    worker.channel.send({"command": "reopen"})
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
