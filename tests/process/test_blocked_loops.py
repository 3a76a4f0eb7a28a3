"""An event loop that does not turn is found, shown and ended, also where no request of its is in flight."""

import os
import re
from collections.abc import Callable
from signal import SIGCONT, SIGSTOP

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.door import Door, read_all
from tests.kit.wait import readable

Doors = Callable[[str], Door]
EXITS = "forkful_worker_exits_total"
REPORT = ("--timeout", "0.4", "--timeout-action", "report")
GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"

CHAT = GET[:-2] + (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.parametrize(
    ("handler", "kind", "data", "words"),
    [
        ("blocking:Blocking", "tcp", b"wait", "MainThread, busy with connection of {}:{}:"),
        ("blocking:BlockingDatagrams", "udp", b"wait", "MainThread, busy with datagram of {}:{} since"),
        ("blocking:afterwards", "tcp", GET, "MainThread, busy with GET '/x' of {}:{} since"),
        ("blocking:afterwards", "tcp", CHAT, "MainThread, busy with websocket /x of {}:{} since"),
        ("wsgi:echo", "tcp", GET.replace(b"/x", b"/wait"), "wsgi-0, busy with GET '/wait' of {}:{} since"),
    ],
)
def test_blocked_loop_is_reported_with_its_stack_and_peer_while_it_is_blocked(
    handler: str, kind: str, data: bytes, words: str, serve: Serve, doors: Doors
) -> None:
    door = doors(kind)
    server = serve(handler, *REPORT, binds=[door])
    server.may_log_tracebacks = True
    workers = server.workers()
    with door.connect() as client:
        client.sendall(data)
        server.events.expect("started")
        server.wait_for_log("only reported")
        log = server.wait_for_log("in wait_at_the_gate")
        server.events.let_through()
        assert client.recv(1000)
        assert words.format(*client.getsockname()) in log
    assert server.workers() == workers


def test_blocked_loop_without_a_request_is_replaced(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    # It can finish nothing, so that nobody waits for it; asyncio, since uvloop's are above.
    flags = ("--timeout", "0.4", "--graceful-timeout", "60", "--event-loop", "asyncio")
    server = serve("blocking:Blocking", *flags, binds=[door])
    server.may_log_tracebacks = True
    victim = server.workers()[0]
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        server.wait_for_workers(1, besides=[victim])
        assert client.recv(100) == b""
    log = server.wait_for_log("died (timeout)")

    assert re.search(r"its event loop is blocked beyond the pool's timeout, for \d\.\d s; it is replaced", log)
    assert server.metrics().sum(EXITS, reason="timeout") == 1


def test_loop_that_is_stuck_in_c_shows_its_stack_when_it_is_only_reported(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("blocking:stuck_in_c", *REPORT, binds=[door])
    worker = server.workers()[0]
    with door.connect() as client:
        client.sendall(b"x")
        server.events.expect("started")
        server.wait_for_log("in stuck_in_c")
        assert server.workers() == {0: worker}
        server.kill(worker)
    assert server.metrics().sum(EXITS, reason="timeout") == 0


def test_idle_connections_of_a_loop_are_no_reason(serve: Serve, doors: Doors) -> None:
    """The heartbeat is up to two seconds old on a loop that is well, which is longer than this timeout."""
    door = doors("tcp")
    server = serve("blocking:Blocking", "--timeout", "0.2", binds=[door])
    workers = server.workers()
    with door.connect() as client:
        client.sendall(b"x")
        assert client.recv(10) == b"x"
        readable(client.fileno(), within=3)  # the time is the thing under test: nothing shall happen in it
        client.sendall(b"y")
        assert client.recv(10) == b"y"
    assert server.workers() == workers


def test_each_overdue_request_is_reported_not_only_the_oldest(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--threads", "2", *REPORT, binds=[door])
    server.may_log_tracebacks = True
    with door.connect() as first:
        first.sendall(b"wait")
        server.events.expect("started")
        server.wait_for_log("1 request(s) beyond the pool's timeout")
        with door.connect() as second:  # not before: a lane serves it from then on
            second.sendall(b"wait")
            server.events.expect("started")
            server.wait_for_log("2 request(s) beyond the pool's timeout")
            server.events.let_through(2)
            assert [read_all(first), read_all(second)] == [b"wait", b"wait"]


def test_service_that_was_frozen_as_a_whole_kills_nobody_for_it(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--timeout", "0.6", binds=[door])
    worker = server.workers()[0]
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        frozen = processes.session(server.pid)
        for pid in frozen:
            os.kill(pid, SIGSTOP)
        server.events.let_through()
        readable(client.fileno(), within=2)  # the time is the thing under test
        for pid in {*frozen} - {worker}:
            os.kill(pid, SIGCONT)
        assert server.admin.get("/livez")[0] == 200, "the master has looked"
        os.kill(worker, SIGCONT)
        assert client.recv(10) == b"wait"

    assert server.workers() == {0: worker}
    assert "beyond" not in server.log
