"""The units that we hand out under a real systemd: what `systemctl` says and does, and what clients notice of it."""

import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.kit.door import Door
from tests.kit.load import Load, Outcome
from tests.kit.server import CLI
from tests.kit.wait import PATIENCE, readable
from tests.peers.system_manager import SystemManager, version
from tests.peers.system_service import SERVICE, Service


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemManager]:
    with SystemManager(tmp_path_factory.mktemp("manager")) as running:
        yield running


@pytest.fixture
def service(manager: SystemManager, request: pytest.FixtureRequest) -> Iterator[Service]:
    with Service(manager) as installed:
        yield installed
        request.node.add_report_section("call", "service", installed.log)
        request.node.add_report_section("call", "systemd", manager.log_path.read_text())


def ask(door: Door, word: bytes = b"hello") -> bytes:
    return door.ask(word)


# -- start, reload, upgrade --------------------------------------------------------------------------------------------


def test_start_returns_when_the_workers_are_ready_and_not_before(service: Service) -> None:
    service.app.write_text("from stages import *\ntell('imported')\nwait_at_the_gate()\nHandler = Staged\n")
    starting = service.manager.begin("start", SERVICE)
    service.events.expect("imported")
    assert service.manager.show()["ActiveState"] == "activating"
    assert starting.poll() is None
    service.events.let_through()
    assert starting.wait(PATIENCE) == 0

    shown = service.manager.show()
    assert (shown["ActiveState"], shown["SubState"], shown["StatusText"]) == ("active", "running", "serving")
    assert f"master pid={shown['MainPID']}," in service.log
    assert service.admin.status()["pid"] == int(shown["MainPID"])
    assert ask(service.door()) == b"hello"


def test_reload_works_and_one_that_cannot_fails_while_the_old_code_serves_on(service: Service) -> None:
    before = service.start()
    door = service.door()
    service.app.write_text("from classic import EchoHandler\nclass Handler(EchoHandler):\n    version = 2\n")
    service.manager.do("reload", SERVICE)
    assert service.admin.status()["generation"] == 2

    service.app.write_text("raise OSError('the database is away')\n")
    failed = service.manager.run("reload", SERVICE)
    assert failed.returncode != 0
    shown = service.manager.show()
    assert shown["ActiveState"] == "active"
    assert "the database is away" in shown["StatusText"]
    assert shown["MainPID"] == before["MainPID"]
    assert ask(door) == b"hello"


def test_handler_that_cannot_be_loaded_fails_the_start_and_says_so(service: Service) -> None:
    service.app.write_text("raise OSError('the database is away')\n")
    service.install("Restart=no")
    assert service.manager.run("start", SERVICE).returncode != 0

    shown = service.manager.wait_for(ActiveState="failed")
    assert (shown["Result"], shown["ExecMainStatus"]) == ("exit-code", "4")
    assert "the database is away" in shown["StatusText"]


@pytest.mark.parametrize("how", ["signal", "command"])
def test_upgrade_keeps_the_main_process(service: Service, how: str) -> None:
    before = service.start()
    with Load(service.door()) as load:
        if how == "signal":
            service.manager.do("kill", "--kill-whom=main", "--signal=USR2", SERVICE)
            service.wait_for_log("upgrade: generation 2 serves")
        else:
            command = [*CLI, "upgrade", "--wait", "--admin", f"unix://{service.admin.path}"]
            subprocess.run(command, check=True, capture_output=True, timeout=2 * PATIENCE)
        load.more(20)
    after = service.manager.wait_for(ActiveState="active", SubState="running", StatusText="serving")
    assert after["MainPID"] == before["MainPID"]
    assert after["NRestarts"] == "0"


# -- crashes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bind", ["tcp://127.0.0.1:0", "unix:///run/forkful/app.sock"])
def test_after_a_crash_of_the_master_clients_wait_in_the_queue_for_its_successor(service: Service, bind: str) -> None:
    service.configure(f'bind = ["{bind}"]')
    before = service.start()
    door = service.door()
    assert before["NFileDescriptorStore"] == "1"
    with Load(door, clients=2, may_lose={Outcome.RESET}) as load:
        for times in ("1", "2"):
            load.more(5)
            service.manager.do("kill", "--kill-whom=main", "--signal=KILL", SERVICE)
            service.manager.wait_for(NRestarts=times, ActiveState="active", SubState="running")
        load.more(5)
    # Who was being served is reset: systemd kills workers without a master, one after the other.
    assert load.accounting[Outcome.RESET] <= 2 * 2 * 2, f"two workers, clients and crashes: {load}"
    after = service.manager.show()
    assert after["MainPID"] != before["MainPID"]
    assert after["NFileDescriptorStore"] == "1"
    assert service.door().address == door.address


def test_master_that_hangs_is_replaced_by_the_watchdog(service: Service) -> None:
    service.install("WatchdogSec=2")
    before = service.start()
    door = service.door()
    service.manager.do("kill", "--kill-whom=main", "--signal=STOP", SERVICE)
    service.manager.wait_for(NRestarts="1", ActiveState="active", SubState="running")
    assert service.manager.show()["MainPID"] != before["MainPID"]
    assert ask(door) == b"hello"
    assert "Watchdog timeout (limit 2s)" in service.manager.log


# -- stop --------------------------------------------------------------------------------------------------------------


def test_stop_under_load_loses_nobody_who_got_in(service: Service) -> None:
    """Where the kernel lets the master turn new clients away: some ask for CAP_NET_ADMIN to attach a filter.

    Without it who connects between the last look into the queue and its end is reset, as with any other server.
    """
    service.install("AmbientCapabilities=CAP_NET_ADMIN\nCapabilityBoundingSet=CAP_NET_ADMIN")
    service.start()
    with Load(service.door(), may_lose={Outcome.REFUSED}) as load:
        load.more(50)
        service.manager.do("stop", SERVICE)
    shown = service.manager.show()
    assert (shown["ActiveState"], shown["Result"], shown["ExecMainStatus"]) == ("inactive", "success", "0")


def test_drain_may_take_longer_than_the_unit_says_because_the_master_asks_for_it(service: Service) -> None:
    service.install("TimeoutStopSec=1")
    service.start()
    with service.door().connect() as client:
        client.sendall(b"wait")
        service.events.expect("started")
        stopping = service.manager.begin("stop", SERVICE)
        service.manager.wait_for(ActiveState="deactivating")
        readable(within=2.0)  # the time that passes is what is tested
        assert service.manager.show()["ActiveState"] == "deactivating"
        service.events.let_through()
        assert client.recv(10) == b"wait"
    assert stopping.wait(PATIENCE) == 0
    shown = service.manager.show()
    assert (shown["ActiveState"], shown["Result"]) == ("inactive", "success")


# -- sockets -----------------------------------------------------------------------------------------------------------


def test_socket_unit_starts_the_service_and_keeps_its_clients_while_that_restarts(service: Service) -> None:
    manager = service.manager
    service.configure(bind="")
    manager.install("forkful.socket", "[Socket]\nListenStream=\nListenStream=/run/door\n")
    manager.do("daemon-reload")
    manager.do("start", "forkful.socket")
    assert manager.show()["ActiveState"] == "inactive"

    door = Door(socket.AF_UNIX, socket.SOCK_STREAM, str(manager.inside("/run/door")))
    assert ask(door) == b"hello"
    manager.wait_for(ActiveState="active")
    with Load(door) as load:
        load.more(20)
        manager.do("restart", SERVICE)
        load.more(20)
        manager.do("reload", SERVICE)
        load.more(20)
    assert manager.show()["ActiveState"] == "active"


# -- notify-reload -----------------------------------------------------------------------------------------------------


if version() >= 253:  # older ones do not know the type; tests/process/test_manager_protocol.py plays a newer one

    def test_notify_reload_waits_for_the_reload_that_it_asked_for(service: Service) -> None:
        """Also where another one is under way, whose READY=1 is not the answer."""
        service.install("Type=notify-reload\nExecReload=")
        before = service.start()
        service.app.write_text("from stages import *\ntell('imported')\nwait_at_the_gate()\nHandler = Staged\n")
        service.manager.do("kill", "--kill-whom=main", "--signal=HUP", SERVICE)
        service.events.expect("imported")
        reloading = service.manager.begin("reload", SERVICE)
        service.manager.wait_for(SubState="reload-notify")
        service.events.let_through()
        service.events.expect("imported")
        assert reloading.poll() is None
        service.events.let_through()
        assert reloading.wait(PATIENCE) == 0
        assert service.admin.status()["generation"] == 3
        assert service.manager.show()["MainPID"] == before["MainPID"]
