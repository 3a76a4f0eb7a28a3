"""A request, a boot or a mold that takes too long is found by its deadline, explained with its stacks, and ended."""

import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from signal import SIGCONT, SIGSTOP

import pytest

from tests.conftest import Serve
from tests.kit.app import ECHO, App
from tests.kit.door import Door
from tests.kit.load import Load
from tests.kit.server import Server
from tests.kit.wait import gone, readable

Doors = Callable[[str], Door]
EXITS = "forkful_worker_exits_total"
HANG = "import os, pathlib\npathlib.Path(os.environ['GATE']).open('rb', buffering=0).read(1)\n"
FAST = ("--timeout", "0.4", "--graceful-timeout", "5")


def exits(server: Server, reason: str) -> float:
    return server.metrics().sum(EXITS, pool="main", reason=reason)


# -- requests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", ["1", "2"])
def test_request_beyond_its_timeout_is_shown_with_its_peer_and_its_worker_replaced(
    threads: str, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--threads", threads, *FAST, binds=[door])
    server.may_log_tracebacks = True
    with door.connect() as client:
        peer = client.getsockname()
        client.sendall(b"wait")
        victim = int(server.events.expect("started").split()[1])
        log = server.wait_for_log("beyond the pool's timeout")
        server.wait_for_workers(1, besides=[victim])
        assert client.recv(10) == b""
    log = server.wait_for_log("died (timeout)")

    busy = re.search(rf"busy for {peer[0]}:{peer[1]} since (\d+\.\d+) s", log)
    assert busy, log
    assert 0.4 <= float(busy[1]) < 3
    assert "in wait_at_the_gate" in log
    assert "killed by SIGABRT" in log
    assert exits(server, "timeout") == 1
    assert door.ask(b"served") == b"served"


def test_datagram_beyond_its_timeout_is_found_too(serve: Serve, doors: Doors) -> None:
    door = doors("udp")
    server = serve("patient:Datagrams", *FAST, binds=[door])
    server.may_log_tracebacks = True
    with door.connect() as client:
        peer = client.getsockname()
        client.send(b"wait")
        server.events.expect("started")
        log = server.wait_for_log("died (timeout)")

    assert f"busy for {peer[0]}:{peer[1]} since" in log
    assert "in wait_at_the_gate" in log
    assert door.ask(b"served") == b"served"


def test_coroutine_beyond_its_timeout_is_found_too(serve: Serve, doors: Doors, app: App) -> None:
    app.write(
        "import asyncio\n"
        "async def Handler(reader, writer):\n"
        "    data = await reader.read(100)\n"
        "    if data == b'wait':\n"
        "        await asyncio.Event().wait()\n"
        "    writer.write(data)\n"
    )
    door = doors("tcp")
    server = serve(app.handler, *FAST, binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    victim = server.workers()[0]
    with door.connect() as client, Load(door) as load:
        client.sendall(b"wait")
        server.wait_for_workers(1, besides=[victim])
        load.more(10)
    assert exits(server, "timeout") == 1
    assert "asyncio.Event().wait()" in server.log


def test_other_lanes_of_a_stuck_worker_finish_what_they_have_and_nothing_else_is_lost(
    serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--threads", "4", "--timeout", "1", binds=[door])
    server.may_log_tracebacks = True
    victim = server.workers()[0]
    with door.connect() as stuck, door.connect() as slow, Load(door) as load:
        stuck.sendall(b"wait")
        server.events.expect("started")
        load.more(5)
        server.wait_until(lambda: server.metrics().sum("forkful_oldest_request_seconds") > 0.6, what="an old request")
        slow.sendall(b"wait")
        server.events.expect("started")
        log = server.wait_for_log("draining (timeout)")
        assert log.count("ready after", 0, log.index("draining (timeout)")) == 2, "its successor comes first"
        server.events.let_through(2)  # whichever of them is first through
        gone(victim)
        load.more(10)
        assert slow.recv(10) == b"wait"


@pytest.mark.parametrize("silent", [b"wait", b""], ids=["stuck", "a client that says nothing"])
def test_lane_that_becomes_late_after_its_worker_was_condemned_has_its_graceful_timeout(
    silent: bytes, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--threads", "3", "--timeout", "2", "--graceful-timeout", "30", binds=[door])
    server.may_log_tracebacks = True
    victim = server.workers()[0]
    with ExitStack() as clients:
        stuck = clients.enter_context(door.connect())
        stuck.sendall(silent)
        if silent:
            server.events.expect("started")
        server.wait_until(lambda: server.metrics().sum("forkful_oldest_request_seconds") > 1.5, what="an old request")
        slow = clients.enter_context(door.connect())
        slow.sendall(b"wait")
        server.events.expect("started")
        server.wait_for_log("draining (timeout)")
        assert not readable(slow.fileno(), within=3.0), "its own timeout is over long ago"
        server.events.let_through(2 if silent else 1)
        assert slow.recv(10) == b"wait"
        gone(victim)
    server.wait_until(lambda: exits(server, "timeout") == 1, what="its end, counted")


def test_report_only_reports(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--timeout-action", "report", *FAST, binds=[door])
    server.may_log_tracebacks = True
    workers = server.workers()
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        server.wait_for_log("only reported")
        server.wait_for_log("in wait_at_the_gate")
        server.events.let_through()
        assert client.recv(10) == b"wait"

    assert server.workers() == workers
    assert server.log.count("beyond the pool's timeout") == 1


def test_timeout_0_is_never(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--timeout", "0", binds=[door])
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        server.wait_until(lambda: server.metrics().sum("forkful_oldest_request_seconds") > 1, what="an old request")
        server.events.let_through()
        assert client.recv(10) == b"wait"

    assert "overdue" not in server.log
    assert exits(server, "timeout") == 0


def test_worker_that_only_waits_for_the_cpu_is_not_taken_for_stuck_before_its_deadline(
    serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--timeout", "3", binds=[door])
    worker = server.workers()[0]
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        os.kill(worker, SIGSTOP)  # as good as a machine that has no time for it
        server.wait_until(lambda: server.metrics().sum("forkful_oldest_request_seconds") > 1, what="an old request")
        os.kill(worker, SIGCONT)
        server.events.let_through()
        assert client.recv(10) == b"wait"

    assert server.workers() == {0: worker}


def test_worker_that_does_not_even_die_of_abort_is_killed(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", *FAST, binds=[door])
    worker = server.workers()[0]
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        os.kill(worker, SIGSTOP)
        server.wait_for_log("killed by SIGKILL")

    assert exits(server, "timeout") == 1
    assert door.ask(b"served") == b"served"


# -- boots -------------------------------------------------------------------------------------------------------------


def test_worker_that_hangs_while_it_boots_is_ended_by_its_own_deadline(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    server = serve(app.handler, "--boot-timeout", "0.5", binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    app.write(HANG)
    server.kill(server.workers()[0])
    log = server.wait_for_log("was not ready within its boot_timeout")
    app.echo()
    server.wait_for_workers(1)

    assert server.wait_for_log("boot_failed")
    assert "versioned.py" in log[log.index("boot_timeout") :] or "versioned.py" in server.log
    assert exits(server, "boot_failed") >= 1
    assert door.ask(b"served") == b"served"


def test_first_start_that_hangs_is_exit_code_3(serve: Serve, app: App) -> None:
    app.write(HANG)
    server = serve(app.handler, "--boot-timeout", "0.5", cwd=app.folder, ready=False)
    server.may_log_tracebacks = True

    assert server.wait_exit() == 3
    assert "boot_timeout" in server.log


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["in the worker", "in the mold"])
def test_reload_that_hangs_fails_and_the_old_generation_serves_on(
    preload: tuple[str, ...], serve: Serve, doors: Doors, app: App
) -> None:
    door = doors("tcp")
    server = serve(app.handler, "--boot-timeout", "0.5", *preload, binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    workers = server.workers()
    app.write(HANG + ECHO.format(suffix=""))
    with Load(door) as load:
        result = server.reload()
        load.more(10)

    assert result.returncode != 0
    assert "boot_timeout" in result.stdout + result.stderr
    assert server.workers() == workers


def test_new_mold_that_hangs_is_replaced(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    server = serve(app.handler, "--preload", "--boot-timeout", "0.5", binds=[door], cwd=app.folder)
    worker = server.workers()[0]
    app.write(HANG)
    server.kill(server.child("mold"))
    server.wait_for_log("were not imported within boot_timeout")
    app.echo()
    server.kill(worker)
    server.wait_for_workers(1, besides=[worker])

    assert door.ask(b"served") == b"served"
