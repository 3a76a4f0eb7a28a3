"""Handlers on the event loop: coroutines, protocols, datagrams; fair accepts, back-pressure, draining, deadlines."""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from signal import SIGCONT, SIGSTOP, SIGTERM
from socket import SHUT_WR

import pytest

from tests.conftest import Ask, Serve
from tests.kit.door import Door, read_all
from tests.kit.load import Load, Outcome
from tests.kit.server import Server
from tests.kit.shared import Kinds
from tests.kit.wait import until

Doors = Callable[[str], Door]
LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


def on_loop(loop: str, handler: str, among: list[str]) -> tuple[str, Kinds]:
    """One of these handlers of `loops`, on one of the event loops, among all of them."""
    kinds = {f"{one} on {on}": (f"loops:{one}", ("--event-loop", on)) for one in among for on in ("uvloop", "asyncio")}
    return f"{handler} on {loop}", kinds


def dialogue(door: Door, *words: bytes) -> list[bytes]:
    with door.connect() as client:
        heard = []
        for word in words:
            client.sendall(word)
            heard.append(client.recv(100))
        client.shutdown(SHUT_WR)
        assert read_all(client) == b""
    return heard


@LOOPS
@pytest.mark.parametrize("kind", ["tcp", "tcp6", "unix"])
@pytest.mark.parametrize("handler", ["echo", "Echo", "Slotted", "Buffered", "SlottedBuffered"])
def test_a_handler_keeps_a_dialogue(handler: str, kind: str, loop: str, share: Ask) -> None:
    mine = share(
        *on_loop(loop, handler, among=["echo", "Echo", "Slotted", "Buffered", "SlottedBuffered"]), binds=[kind]
    )

    assert dialogue(mine.door, b"one", b"two", b"three") == [b"one", b"two", b"three"]

    def counted() -> bool:
        names = ("forkful_connections_accepted_total", "forkful_received_bytes_total", "forkful_sent_bytes_total")
        assert mine.sum("forkful_requests_total", outcome="ok") <= 1
        wanted = (1, 0, 0) if kind == "unix" else (1, 11, 11)  # the kernel counts bytes of TCP only
        return tuple(mine.sum(name) for name in names) == wanted

    until(counted, what="one connection with its bytes")


@LOOPS
@pytest.mark.parametrize("kind", ["udp", "udp6", "unixgram"])
def test_datagram_protocols_answer(loop: str, kind: str, serve: Serve, doors: Doors) -> None:
    door = doors(kind)
    server = serve("loops:Datagrams", "--event-loop", loop, "--workers", "2", binds=[door])
    server.may_log_tracebacks = True

    with door.connect() as client:
        client.send(b"fail")
    assert [door.ask(b"%d" % n) for n in range(10)] == [b"%d" % n for n in range(10)]
    assert door.ask(b"x" * 50_000) == b"x" * 50_000

    until(lambda: server.metrics().sum("forkful_requests_total") == 12, what="twelve datagrams")
    assert server.metrics().sum("forkful_requests_total", outcome="error") == 1
    assert server.log.count("ValueError: the handler's own mistake") == 1


@LOOPS
@pytest.mark.parametrize("handler", ["echo", "Echo"])
def test_an_exception_is_logged_counted_and_hurts_nobody_else(
    handler: str, loop: str, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve(f"loops:{handler}", "--event-loop", loop, binds=[door])
    server.may_log_tracebacks = True

    with door.connect() as other:
        assert door.ask(b"fail") == b""
        other.sendall(b"fine")
        assert other.recv(10) == b"fine"

    until(lambda: server.metrics().sum("forkful_requests_total", outcome="error") == 1, what="one error")
    assert server.log.count("ValueError: the handler's own mistake") == 1


@LOOPS
@pytest.mark.parametrize("handler", ["HandsOver", "HandsOverAtOnce"])
def test_a_connection_that_is_handed_to_another_protocol_is_still_watched(handler: str, loop: str, share: Ask) -> None:
    mine = share(*on_loop(loop, handler, among=["HandsOver", "HandsOverAtOnce"]))

    assert dialogue(mine.door, b"one", b"two") == [b"one", b"two"]
    assert dialogue(mine.door, b"slots", b"two") == [b"slots", b"two"]

    mine.wait_for(2, "forkful_requests_total", outcome="ok")
    assert mine.sum("forkful_connections_active") == 0


@LOOPS
def test_a_protocol_that_fails_to_begin_is_hung_up_and_counted_once(loop: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("loops:Stillborn", "--event-loop", loop, binds=[door])
    server.may_log_tracebacks = True

    for _ in range(2):
        with door.connect() as client, suppress(ConnectionResetError):
            assert read_all(client) == b""
        assert dialogue(door, b"one") == [b"one"]

    def counted() -> bool:
        metrics = server.metrics()
        return [metrics.sum("forkful_requests_total", outcome=o) for o in ("ok", "error", "lost")] == [2, 2, 0]

    until(counted, what="two that worked and two that failed")
    assert server.log.count("ValueError: the handler's own mistake") == 2


@LOOPS
def test_a_task_that_exits_ends_no_worker(loop: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("loops:exits", "--event-loop", loop, binds=[door])
    server.may_log_tracebacks = True
    before = server.workers()

    with door.connect() as other:
        other.sendall(b"one")
        assert other.recv(10) == b"one"
        assert dialogue(door, b"one") == [b"one"]
        other.sendall(b"two")
        assert other.recv(10) == b"two"

    assert server.workers() == before
    server.wait_for_log("the handler raised SystemExit, which ends no worker")
    until(lambda: server.metrics().sum("forkful_requests_total", outcome="ok") == 2, what="two good connections")


@pytest.mark.parametrize("handler", ["echo", "Echo"])
def test_what_is_left_when_the_time_is_up_is_cut_short_and_the_worker_leaves_in_peace(
    handler: str, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve(f"loops:{handler}", "--graceful-timeout", "1", binds=[door])

    with door.connect() as client:
        client.sendall(b"one")
        assert client.recv(10) == b"one"
        server.signal(SIGTERM)
        assert client.recv(10) == b""
    assert server.wait_exit() == 0
    assert "gone (stop), exit code 0" in server.log


def shares(server: Server, door: Door, stack: ExitStack, count: int) -> Counter[bytes]:
    clients = [stack.enter_context(door.connect()) for _ in range(count)]
    held = Counter(client.recv(20) for client in clients)
    assert sum(server.metrics().sum("forkful_connections_active") for _ in range(1)) == count
    return held


@LOOPS
def test_connections_are_shared_fairly(loop: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("loops:Named", "--workers", "4", "--event-loop", loop, binds=[door])

    with ExitStack() as stack:
        held = shares(server, door, stack, 400)

    assert len(held) == 4
    assert max(held.values()) <= 150, held


def test_a_stuck_worker_does_not_hold_the_gate_shut(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("loops:Named", "--workers", "3", binds=[door])
    stuck = server.workers()[0]
    os.kill(stuck, SIGSTOP)
    try:
        with ExitStack() as stack:
            held = shares(server, door, stack, 60)
    finally:
        os.kill(stuck, SIGCONT)

    assert b"%d\n" % stuck not in held
    assert max(held.values()) <= 45, held


def test_what_a_worker_cannot_hold_waits_for_another(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("loops:Named", "--workers", "2", "--max-connections", "5", binds=[door])

    with ExitStack() as stack:
        held = shares(server, door, stack, 10)
        assert set(held.values()) == {5}
        with door.connect() as waiting:
            waiting.sendall(b"x")
            until(lambda: server.metrics().sum("forkful_listen_queue_length") == 1, what="one connection in the queue")
            stack.close()
            assert waiting.recv(20)


def test_a_drain_gives_connections_their_time(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("loops:echo", binds=[door])

    with door.connect() as client:
        client.sendall(b"one")
        assert client.recv(10) == b"one"
        server.signal(SIGTERM)
        server.wait_for_log("draining")
        client.sendall(b"two")
        assert client.recv(10) == b"two"
    assert server.wait_exit() == 0


@pytest.mark.parametrize("handler", ["echo", "Echo"])
def test_reloads_under_load_lose_nothing(handler: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(f"loops:{handler}", "--workers", "2", binds=[door])

    with OneWordLoad(door) as load:
        for _ in range(4):
            load.more(50)
            server.hup()
        load.more(50)


class OneWordLoad(Load):
    """A handler of a loop echoes until its client ends, so the client does."""

    def _stream(self, payload: bytes) -> tuple[Outcome, str]:
        with self._door.connect(self._timeout) as client:
            client.sendall(payload)
            client.shutdown(SHUT_WR)
            reply = read_all(client)
        return (Outcome.OK, "") if reply == payload else (Outcome.RESET, repr(reply))


def test_a_stuck_coroutine_is_found_and_named(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(
        "loops:echo", "--timeout", "0.4", "--timeout-action", "report", "--graceful-timeout", "1", binds=[door]
    )
    server.may_log_tracebacks = True

    with door.connect() as client:
        host, port = client.getsockname()
        client.sendall(b"forever")
        server.events.expect("started")
        log = server.wait_for_log("stacks of tasks")

    assert f"connection of {host}:{port}, for " in log
    assert "asyncio.Event().wait()" in log


def test_descriptors_that_run_out_are_a_pause_and_no_loss(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("loops:Named", "--max-connections", "900", binds=[door], wrapper=("prlimit", "--nofile=150:150"))

    with ExitStack() as stack:
        clients = [stack.enter_context(door.connect()) for _ in range(140)]
        server.wait_for_log("cannot accept")
        for client in clients[:100]:
            assert client.recv(20)
            client.close()
        assert all(client.recv(20) for client in clients[100:])
    server.wait_for_log("accepting again")
