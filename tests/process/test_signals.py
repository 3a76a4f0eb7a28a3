"""What each signal does to the master, and that the ones to a worker stay with that worker."""

import os
from collections.abc import Callable
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGWINCH, Signals

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.door import Door
from tests.kit.load import LOSSES, Load
from tests.kit.wait import gone

Doors = Callable[[str], Door]


def test_ttin_and_ttou_change_the_number_of_workers_and_a_reload_keeps_it(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--workers", "2", binds=[door])
    server.signal(SIGTTIN)
    server.wait_for_workers(3)
    server.signal(SIGTTIN)
    server.wait_for_workers(4)
    with Load(door) as load:
        server.signal(SIGTTOU)
        three = server.wait_for_workers(3)
        load.more(10)
        server.hup()
        server.wait_for_workers(3, besides=list(three.values()))
        load.more(10)
    assert server.metrics().sum("forkful_workers_target", pool="main") == 3
    server.now_holds_more()


def test_ttou_never_takes_the_last_worker(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--workers", "1", binds=[door])
    server.signal(SIGTTOU)
    for _ in range(2):  # pending signals have no order, signal(7): so this one shall be read before the next is sent
        server.status()
    server.signal(SIGTTIN)
    server.wait_for_workers(2)

    assert door.ask(b"x") == b"x"
    server.now_holds_more()


def test_winch_retires_all_workers_and_hup_brings_them_back(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--workers", "2", binds=[door])
    server.signal(SIGWINCH)
    server.wait_until(lambda: not server.pool()["workers"], what="no workers")
    assert server.running
    assert server.admin.get("/readyz")[0] == 503

    with door.connect() as client:  # the listener is kept: who comes now waits in its queue
        client.sendall(b"patience")
        server.hup()
        assert client.recv(10) == b"patience"
    server.wait_for_workers(2)
    assert server.admin.get("/readyz")[0] == 200


def test_usr1_reopens_the_log_files_of_every_process(serve: Serve, doors: Doors, tmp_path: Path) -> None:
    door = doors("tcp")
    log = tmp_path / "service.log"
    server = serve("faulty:Faulty", "--workers", "1", "--log-file", str(log), binds=[door])
    assert "master" in log.read_text()
    old = tmp_path / "service.log.1"
    log.rename(old)
    server.signal(SIGUSR1)
    server.wait_until(log.exists, what="a new log file")

    door.ask(b"raise")  # a worker's own word
    server.wait_until(lambda: "LookupError" in (log.read_text() + old.read_text()), what="the worker's record")

    def reopened() -> bool:
        return not any(
            link == str(old) for pid in processes.session(server.pid) for link in processes.descriptors(pid).values()
        )

    server.wait_until(reopened, what="no process still writes to the old file")
    door.ask(b"raise")
    server.wait_until(lambda: "LookupError" in log.read_text(), what="the worker's record in the new file")


def test_logs_reopen_does_what_usr1_does(serve: Serve, tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    server = serve("classic:EchoHandler", "--log-file", str(log))
    log.rename(tmp_path / "service.log.1")
    result = server.run("logs", "reopen")

    assert result.returncode == 0, result.stderr
    server.wait_until(log.exists, what="a new log file")


@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGQUIT])
def test_each_stop_signal_ends_with_exit_code_0(number: Signals, serve: Serve) -> None:
    server = serve("classic:EchoHandler", "--workers", "2")
    server.signal(number)

    assert server.wait_exit(within=5.0) == 0
    assert any("STOPPING" in record for record in server.notifications.collect())


@pytest.mark.parametrize("number", [SIGINT, SIGQUIT])
def test_quick_stop_does_not_wait_for_a_request_in_progress(number: Signals, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", binds=[door])
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        server.signal(number)
        assert server.wait_exit(within=5.0) == 0


@pytest.mark.parametrize("second", [SIGTERM, SIGINT, SIGQUIT])
def test_second_signal_makes_a_graceful_stop_quick(second: Signals, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", binds=[door])
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        server.signal(SIGTERM)
        server.wait_for(lambda record: "STOPPING" in record, what="STOPPING=1")
        server.signal(second)
        assert server.wait_exit(within=5.0) == 0


@pytest.mark.parametrize("number", [SIGTERM, SIGHUP, SIGUSR1])
def test_signals_until_the_very_end_do_not_change_how_it_ends(number: Signals, serve: Serve) -> None:
    server = serve("classic:EchoHandler")
    server.signal(SIGTERM)
    while server.running:
        server.signal(number)
    assert server.wait_exit() == 0


def test_graceful_stop_finishes_what_is_in_progress(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Parting", "--workers", "2", binds=[door])
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        server.signal(SIGTERM)
        server.events.expect("draining")
        server.events.let_through()
        assert client.recv(10) == b"wait"
    assert server.wait_exit() == 0


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_graceful_stop_answers_what_waits_in_the_queue(kind: str, serve: Serve, doors: Doors) -> None:
    door = doors(kind)
    server = serve("stages:Parting", "--workers", "1", binds=[door])
    first = door.connect()
    first.sendall(b"wait")
    server.events.expect("started")
    queued = [door.connect() for _ in range(5)]
    for client in queued:
        client.sendall(b"queued")
    server.signal(SIGTERM)
    server.events.expect("draining")
    server.events.let_through()
    answers = [client.recv(10) for client in (first, *queued)]
    for client in (first, *queued):
        client.close()

    assert answers == [b"wait", *[b"queued"] * 5]
    assert server.wait_exit() == 0


def test_stop_ends_within_the_graceful_timeout_though_a_handler_hangs(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--graceful-timeout", "0.3", binds=[door])
    server.may_log_tracebacks = True
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        server.signal(SIGTERM)
        assert server.wait_exit(within=8.0) == 0


def test_pid_file_says_the_master_and_is_removed(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "run.pid"
    server = serve("classic:EchoHandler", "--pid", str(path))
    assert path.read_text().strip() == str(server.pid)
    server.signal(SIGTERM)
    assert server.wait_exit() == 0
    assert not path.exists()


# -- to a worker -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGQUIT])
def test_worker_that_is_told_to_leave_leaves_and_is_replaced(number: Signals, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--workers", "2", binds=[door])
    victim = server.workers()[0]
    with Load(door, may_lose=() if number == SIGTERM else LOSSES) as load:
        os.kill(victim, number)
        gone(victim)
        server.wait_for_workers(2, besides=[victim])
        load.more(10)


@pytest.mark.parametrize("number", [SIGHUP, SIGUSR1, SIGWINCH, SIGTTIN, SIGTTOU])
def test_worker_ignores_signals_that_are_for_the_master(number: Signals, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:PidHandler", binds=[door])
    worker = server.workers()[0]
    os.kill(worker, number)

    assert int(door.ask(b"who")) == worker
    assert server.workers() == {0: worker}


def test_signals_to_the_whole_process_group_stop_it_as_a_terminal_does(serve: Serve) -> None:
    server = serve("classic:EchoHandler", "--workers", "2")
    os.killpg(server.pid, SIGINT)

    assert server.wait_exit(within=5.0) == 0
