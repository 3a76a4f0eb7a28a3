"""Whatever is killed: only what it had in its hands is lost, it is replaced, and the counters add up exactly."""

import os
from collections.abc import Callable
from signal import SIGKILL, SIGTERM

import pytest

from forkful.master.policy.throttle import LONGEST
from tests.conftest import Serve
from tests.kit import processes
from tests.kit.app import App
from tests.kit.door import Door
from tests.kit.load import Load
from tests.kit.wait import gone, until

Doors = Callable[[str], Door]
REQUESTS = "forkful_requests_total"
DEADLY = 24  # requests; after so many each of two slots would wait for half a minute


def test_killed_worker_loses_only_its_own_connection_and_the_counters_add_up(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--workers", "2", binds=[door])
    for _ in range(10):
        assert door.ask(b"before") == b"before"
    with door.connect() as client, Load(door) as load:
        client.sendall(b"wait")
        victim = int(server.events.expect("started").split()[1])
        load.more(20)
        # The other worker may be in the middle of one of the load's requests, but the victim's only lane is ours.
        server.kill(victim)
        try:
            answer = client.recv(10)
        except ConnectionResetError:
            answer = b""
        assert answer == b""
        server.wait_for_workers(2, besides=[victim])
        load.more(20)

    metrics = server.metrics_at_rest()
    assert metrics.sum(REQUESTS, pool="main") == 10 + load.ok + 1
    assert metrics.sum(REQUESTS, pool="main", outcome="ok") == 10 + load.ok
    assert metrics.sum("forkful_connections_accepted_total", pool="main") == 10 + load.ok + 1
    assert metrics.sum("forkful_connections_active", pool="main") == 0
    assert metrics.sum("forkful_worker_exits_total", pool="main", reason="signal") == 1
    assert metrics.sum("forkful_worker_starts_total", pool="main") == 3


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each worker imports", "preload"])
def test_counters_never_fall_while_workers_are_killed(preload: tuple[str, ...], serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--workers", "3", *preload, binds=[door])
    sent = 0
    last = server.metrics().counters()
    for slot in range(3):
        for _ in range(7):
            assert door.ask(b"count me") == b"count me"
            sent += 1
        server.metrics_at_rest()  # a worker killed between an answer and its count counts it as lost
        workers = server.workers()
        server.kill(workers[slot])
        server.wait_for_workers(3, besides=[workers[slot]])
        now = server.metrics().counters()
        fallen = {key: (value, now.get(key)) for key, value in last.items() if now.get(key, -1) < value}
        assert not fallen
        last = now

    assert server.metrics_at_rest().sum(REQUESTS, pool="main", outcome="ok") == sent


def test_killed_mold_is_replaced_and_casts_again(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--workers", "2", "--preload", binds=[door])
    mold, workers = server.child("mold"), server.workers()
    server.kill(mold)
    new = server.wait_until(lambda: pid if (pid := server.child("mold")) != mold else None, what="another mold")
    assert server.workers() == workers, "no worker was touched"

    server.kill(workers[1])
    server.wait_for_workers(2, besides=[workers[1]])
    assert server.child("mold") == new
    assert door.ask(b"served") == b"served"


def test_mold_and_worker_killed_together_are_both_replaced(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--workers", "2", binds=[door])
    victim = server.workers()[0]
    mold = server.child("mold")
    os.kill(mold, SIGKILL)
    os.kill(victim, SIGKILL)
    gone(mold)
    gone(victim)
    server.wait_for_workers(2, besides=[victim])

    assert door.ask(b"served") == b"served"


def test_killed_admin_child_is_replaced_and_forgets_nothing(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", binds=[door])
    for _ in range(5):
        door.ask(b"x")
    admin, workers = server.child("admin"), server.workers()
    server.kill(admin)

    def answers() -> bool:
        try:
            return server.admin.get("/livez")[0] == 200
        except OSError:  # nobody listens for a moment
            return False

    server.wait_until(answers, what="an admin child that answers")
    assert server.workers() == workers
    assert server.metrics_at_rest().sum(REQUESTS, pool="main") == 5


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each worker imports", "preload"])
def test_killed_master_takes_all_along_within_a_second_of_what_they_had(
    preload: tuple[str, ...], serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--workers", "2", *preload, binds=[door])
    before = processes.session(server.pid)
    workers = server.workers()
    with door.connect() as client:
        client.sendall(b"wait")
        busy = int(server.events.expect("started").split()[1])
        server.signal(SIGKILL)
        server.wait_exit()
        for pid in set(before) - {server.pid, busy}:
            gone(pid, within=1.0)
        assert busy in workers.values()
        assert busy in processes.session(server.pid), "it finishes what it has"
        server.events.let_through()
        assert client.recv(10) == b"wait"
    gone(busy, within=1.0)
    server.was_killed()


def test_nobody_listens_once_a_killed_master_and_its_workers_are_gone(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--workers", "2", binds=[door])
    server.signal(SIGKILL)
    server.wait_exit()
    until(lambda: not processes.session(server.pid), what="an empty session", within=2.0)
    with pytest.raises(ConnectionRefusedError):
        door.connect()
    server.was_killed()


def test_module_that_is_removed_hurts_only_who_needs_it_and_heals_when_it_is_back(
    serve: Serve, doors: Doors, app: App
) -> None:
    door = doors("tcp")
    server = serve(app.handler, "--workers", "2", binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    survivor, victim = server.workers()[0], server.workers()[1]
    app.path.unlink()
    server.kill(victim)
    with Load(door) as load:
        server.wait_for_log("next start in", count=2)
        load.more(20)

        assert server.admin.get("/readyz")[0] == 200, "it can serve"
        assert server.workers() == {0: survivor}
        pool = server.pool()
        assert "versioned" in pool["trouble"]
        metrics = server.metrics()
        assert metrics.sum("forkful_worker_exits_total", pool="main", reason="boot_failed") >= 2
        assert metrics.sum("forkful_workers", pool="main", state="ready") == 1
        assert metrics.sum("forkful_workers_target", pool="main") == 2
        assert pool["starts"] <= 3 + 10

        app.echo()
        assert server.wait_for_workers(2, besides=[victim])[0] == survivor
        assert server.admin.get("/readyz")[0] == 200
        load.more(5)


def test_workers_that_die_right_after_boot_are_throttled_and_the_stop_stays_quick(
    serve: Serve, doors: Doors, app: App
) -> None:
    door = doors("tcp")
    server = serve(app.handler, "--workers", "1", binds=[door], cwd=app.folder)
    app.write("import os\nos._exit(5)\n")
    server.kill(server.workers()[0])
    server.wait_for_log("deaths in a row", count=2)
    starts = server.metrics().sum("forkful_worker_starts_total", pool="main")

    assert starts <= 10
    server.signal(SIGTERM)
    assert server.wait_exit(within=3.0) == 0


@pytest.mark.parametrize(("workers", "preload"), [(1, ()), (2, ("--preload",))])
def test_requests_that_kill_workers_do_not_leave_a_pool_without_any(
    workers: int, preload: tuple[str, ...], serve: Serve, doors: Doors
) -> None:
    """Every one is followed by an honest client, who is served as soon as a worker has booted: the queue keeps him."""
    door = doors("tcp")
    server = serve("faulty:Faulty", "--workers", str(workers), *preload, binds=[door])
    for _ in range(DEADLY):
        assert died(door)
        assert door.ask(b"hello", timeout=LONGEST / 3) == b"hello"

    metrics = server.metrics()
    assert metrics.sum("forkful_worker_exits_total", pool="main", reason="crash") == DEADLY
    assert metrics.sum("forkful_requests_total", pool="main", outcome="lost") == DEADLY


def died(door: Door) -> bool:
    """Whether this request has killed its worker."""
    try:
        return door.ask(b"die") == b""
    except ConnectionResetError:
        return True
