"""In the middle of an upgrade: signals, orders, files that are gone; none of it may end or forget anything."""

import shutil
from collections.abc import Callable
from pathlib import Path
from signal import SIGHUP, SIGTERM, SIGUSR2, SIGWINCH

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.app import App
from tests.kit.door import Door
from tests.kit.installation import Installation
from tests.kit.load import Load
from tests.kit.server import Server

Doors = Callable[[str], Door]

#: For the end of `master/supervisor/upgrade.py`: something happens in the instant before the master executes the new
#: installation.
IN_THAT_INSTANT = """
import shutil
_execute_it = execute
def execute(state):
    {what}
    _execute_it(state)
"""
#: For the end of `master/supervisor/mold.py`: what a probe (a first generation) cannot show.
DIES_LATER = """
_run = Mold.run
def _die(self):
    return os._exit(7) if self.generation > 1 else _run(self)
Mold.run = _die
"""
#: For the end of `worker/main.py`.
HANGS = """
def run(*_):
    import threading
    threading.Event().wait()
"""
#: For the end of `conf/logs.py`.
FULL_DISK = """
_configure = configure
def configure(log, process):
    if process == "master" and log.file not in ("-", "/dev/null"):
        raise OSError(28, "No space left on device")
    _configure(log, process)
"""


def in_that_instant(what: str) -> dict[str, str]:
    return {"master/supervisor/upgrade.py": IN_THAT_INSTANT.format(what=what)}


def began(server: Server) -> None:
    server.signal(SIGUSR2)
    server.wait_for_log("generation 2 is being tried")


def test_term_in_the_instant_of_the_execution_stops_the_next_image(serve: Serve, installation: Installation) -> None:
    installation.install("1.0", in_that_instant("signal.raise_signal(signal.SIGTERM)"))
    server = serve("classic:EchoHandler", env=installation.environment)
    installation.install("2.0")
    server.signal(SIGUSR2)

    assert server.wait_exit() == 0
    assert "upgraded in place to forkful 2.0" in server.log, "the signal came before that, and is acted on after it"


def test_hup_in_the_instant_of_the_execution_reloads_after_the_upgrade(
    serve: Serve, installation: Installation
) -> None:
    installation.install("1.0", in_that_instant("signal.raise_signal(signal.SIGHUP)"))
    server = serve("classic:EchoHandler", env=installation.environment)
    installation.install("2.0")
    server.signal(SIGUSR2)

    server.wait_for_log("reload: generation 3 serves")


def test_reload_asked_for_during_the_probe_is_done_after_the_upgrade_and_answered(serve: Serve) -> None:
    server = serve("classic:EchoHandler")
    began(server)
    server.signal(SIGHUP)  # the settings were read already, or are being read: they may be others now
    reload = server.reload()

    assert reload.returncode == 0, reload.stderr
    log = server.wait_for_log("reload: generation 3 serves")
    assert log.index("upgrade: generation 2 serves") < log.index("reload: generation 3 serves")


def test_reload_that_outlives_the_admin_child_of_the_old_version_is_answered(serve: Serve, app: App) -> None:
    """An upgrade replaces the admin child a second later; a reload in between takes longer than that."""
    server = serve(app.handler, cwd=app.folder)
    admin = server.child("admin")
    upgrade = server.run("upgrade", "--wait")
    assert upgrade.returncode == 0, upgrade.stderr
    app.write(f"import threading\nthreading.Event().wait(1.5)\n{app.path.read_text()}")
    reload = server.reload()

    assert reload.returncode == 0, reload.stderr
    server.wait_until(lambda: admin not in processes.session(server.pid), what="the end of the old admin child")
    assert server.status()["generation"] == 3


def test_winch_during_a_reload_or_an_upgrade_is_later_and_counts(serve: Serve, doors: Doors) -> None:
    server = serve("classic:EchoHandler", "--workers", "2", binds=[doors("tcp")])
    began(server)
    server.signal(SIGWINCH)
    server.wait_for_log("upgrade: generation 2 serves")
    server.wait_until(lambda: not server.pool()["workers"], what="no worker")

    server.hup()
    server.wait_for_workers(2)


def test_stop_during_the_probe_leaves_nothing_behind(serve: Serve, installation: Installation) -> None:
    server = serve("classic:EchoHandler", env=installation.environment)
    installation.install("2.0", {"worker/main.py": HANGS})
    server.signal(SIGUSR2)
    server.wait_until(
        lambda: any(title.startswith("forkful probe: worker") for title in processes.session(server.pid).values()),
        what="a probe that hangs",
    )
    server.signal(SIGTERM)

    assert server.wait_exit() == 0  # what the probe had made is looked for by the fixture


@pytest.mark.parametrize(("handler", "kind"), [("loops:Datagrams", "unixgram"), ("loops:Datagrams", "udp")])
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_event_loops_go_on_when_an_upgrade_fails_after_the_execution(
    handler: str, kind: str, loop: str, serve: Serve, doors: Doors, installation: Installation
) -> None:
    """They share the open file with the master, and its O_NONBLOCK."""
    door = doors(kind)
    flags = ("--workers", "3", "--event-loop", loop)
    server = serve(handler, *flags, binds=[door], env=installation.environment)
    workers = server.workers()
    installation.install("2.0", {"master/supervisor/mold.py": DIES_LATER})
    with Load(door) as load:
        result = server.run("upgrade", "--wait")
        load.more(50)

    assert result.returncode == 1
    assert "exit code 7" in result.stderr
    assert server.workers() == workers
    server.signal(SIGTERM)
    assert server.wait_exit() == 0
    assert "graceful_timeout" not in server.log, "nobody was blocked in a receive"


# -- files -------------------------------------------------------------------------------------------------------------


def test_upgrade_goes_on_without_a_pid_file_or_a_scratch_directory(serve: Serve, doors: Doors, tmp_path: Path) -> None:
    door, pid_file = doors("tcp"), tmp_path / "pid" / "forkful"
    pid_file.parent.mkdir()
    server = serve("counted:Counted", "--pid", str(pid_file), binds=[door])
    server.metrics()  # the admin child has begun
    (scratch,) = server.runtime.glob("forkful-metrics-*")
    shutil.rmtree(scratch)
    pid_file.unlink()
    (tmp_path / "pid" / f"forkful.{server.pid}").mkdir()  # where it is written first
    result = server.run("upgrade", "--wait")

    assert result.returncode == 0, result.stderr
    assert "pid file" in server.log
    assert door.ask(b"hello") == b"hello"
    assert server.metrics().sum("app_echoes_total") == 1, "the handler's own counters have a place again"


def test_upgrade_goes_on_without_a_scratch_directory_that_goes_in_that_instant(
    serve: Serve, doors: Doors, installation: Installation
) -> None:
    door = doors("tcp")
    installation.install("1.0", in_that_instant("shutil.rmtree(state.multiprocess)"))
    server = serve("classic:EchoHandler", binds=[door], env=installation.environment)
    installation.install("2.0")
    result = server.run("upgrade", "--wait")

    assert result.returncode == 0, result.stderr
    assert door.ask(b"hello") == b"hello"


def test_upgrade_goes_on_when_the_master_cannot_open_its_log(
    serve: Serve, doors: Doors, installation: Installation, tmp_path: Path
) -> None:
    door, log = doors("tcp"), tmp_path / "service.log"
    flags = ("--log-file", str(log))
    server = serve("classic:EchoHandler", *flags, binds=[door], env=installation.environment)
    installation.install("2.0", {"conf/logs.py": FULL_DISK})
    with Load(door) as load:
        result = server.run("upgrade", "--wait")
        load.more(10)

    assert result.returncode == 0, result.stderr
    assert "No space left on device" in server.log, "the master says so on standard error"


def test_operators_own_metrics_directory_is_kept(serve: Serve, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    server = serve("counted:Counted", env={"PROMETHEUS_MULTIPROC_DIR": str(own)})
    assert server.run("upgrade", "--wait").returncode == 0
    server.signal(SIGTERM)

    assert server.wait_exit() == 0
    assert own.is_dir()


def test_upgrade_takes_up_a_new_pid_file_and_name(serve: Serve, doors: Doors, tmp_path: Path) -> None:
    door = doors("tcp")
    pool = f'[pool.main]\nhandler = "classic:EchoHandler"\nbind = ["{door.url}"]\n'
    server = serve(binds=[door], config=f'[master]\npid = "{tmp_path}/old"\n{pool}')
    server.configure(f'[master]\npid = "{tmp_path}/new"\n{pool}')
    reload = server.reload()
    assert "[master] pid changed, and will only after a restart or an upgrade" in reload.stdout
    assert (tmp_path / "old").exists()
    server.configure(f'[master]\npid = "{tmp_path}/new"\nname = "other"\n{pool}')
    upgrade = server.run("upgrade", "--wait")

    assert upgrade.returncode == 0, upgrade.stderr
    assert "restart" not in upgrade.stdout
    assert not (tmp_path / "old").exists()
    assert (tmp_path / "new").read_text() == f"{server.pid}\n"
    assert processes.title(server.pid).startswith("other: master")


# -- what handlers count -----------------------------------------------------------------------------------------------


def test_what_handlers_count_goes_on_over_upgrades(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("counted:Counted", "--workers", "2", "--preload", binds=[door])
    last = 0.0
    with Load(door) as load:
        for _ in range(3):
            load.more(20)
            assert server.run("upgrade", "--wait").returncode == 0
            now = server.metrics().sum("app_echoes_total")
            assert now >= last + 20
            last = now

    server.wait_until(lambda: server.metrics().sum("app_echoes_total") == load.ok, what=f"{load.ok} echoes counted")
