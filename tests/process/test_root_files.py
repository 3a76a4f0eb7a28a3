"""What root opens, makes and gives away is never for the workers' user to say: attacks, each told in a jail."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL, SIGTERM, SIGUSR1

import pytest

from tests.kit.jail import WORKER, Jail, Outcome, owner, tell
from tests.kit.wait import gone, until

Story = Callable[[Jail], Outcome]


def state_of(path: Path) -> list[object]:
    return [owner(path), path.read_text() if path.is_file() else ""]


SAFE = [0, "secret"]


# -- the log ---------------------------------------------------------------------------------------------------------


def log_is_a_link_at_the_start(jail: Jail) -> Outcome:
    victim = jail.victim()
    (jail.home / "log").symlink_to(victim)
    server = jail.server("--log-file", str(jail.home / "log"), ready=False)
    code = server.wait_exit()
    return {"victim": state_of(victim), "code": code}


def log_is_a_link_at_the_reopening(jail: Jail) -> Outcome:
    victim, log = jail.victim(), jail.home / "log"
    server = jail.server("--log-file", str(log))

    def swap() -> None:
        log.unlink()
        log.symlink_to(victim)

    jail.does(swap)
    server.signal(SIGUSR1)
    server.run("reload", "--wait")
    return {"victim": state_of(victim), "alive": server.running}


def log_is_a_dangling_link_at_the_reopening(jail: Jail) -> Outcome:
    target, log = jail.root / "cron.d", jail.home / "log"
    server = jail.server("--log-file", str(log))

    def swap() -> None:
        log.unlink()
        log.symlink_to(target)

    jail.does(swap)
    server.run("logs", "reopen")
    return {"made": target.exists(), "alive": server.running}


def directory_of_the_log_is_a_link_at_the_reopening(jail: Jail) -> Outcome:
    """Not the file: what it lies in."""
    folder = jail.home / "logs"
    folder.mkdir()
    os.chown(folder, WORKER, WORKER)
    server = jail.server("--log-file", str(folder / "victim"))
    victim = jail.victim()

    def swap() -> None:
        folder.rename(jail.home / "other")
        folder.symlink_to(jail.root)

    jail.does(swap)
    server.run("logs", "reopen")
    return {"victim": state_of(victim), "alive": server.running}


def log_is_a_hard_link(jail: Jail) -> Outcome:
    victim, log = jail.victim(), jail.home / "log"
    os.link(victim, log)  # as where protected_hardlinks is off
    server = jail.server("--log-file", str(log), ready=False)
    return {"victim": state_of(victim), "code": server.wait_exit()}


def log_is_a_fifo_that_nobody_reads(jail: Jail) -> Outcome:
    log = jail.home / "log"
    server = jail.server("--log-file", str(log))

    def swap() -> None:
        log.unlink()
        os.mkfifo(log)

    jail.does(swap)
    reopened = server.run("logs", "reopen")
    return {"alive": server.running, "answered": reopened.returncode}


def log_of_a_logging_configuration_is_a_link(jail: Jail) -> Outcome:
    victim, log = jail.victim(), jail.home / "log"
    log.symlink_to(victim)
    file = jail.root / "log.json"
    handlers = f'{{"file": {{"class": "logging.FileHandler", "filename": "{log}"}}}}'
    loggers = '{"forkful": {"handlers": ["file"], "level": "INFO"}}'
    file.write_text(f'{{"version": 1, "handlers": {handlers}, "loggers": {loggers}}}')
    server = jail.server("--log-config", str(file))
    server.signal(SIGUSR1)
    server.run("logs", "reopen")
    return {"victim": state_of(victim), "alive": server.running}


LOGS: dict[Story, Outcome] = {
    log_is_a_link_at_the_start: {"victim": SAFE, "code": 1},
    log_is_a_link_at_the_reopening: {"victim": SAFE, "alive": True},
    log_is_a_dangling_link_at_the_reopening: {"made": False, "alive": True},
    directory_of_the_log_is_a_link_at_the_reopening: {"victim": SAFE, "alive": True},
    log_is_a_hard_link: {"victim": SAFE, "code": 1},
    log_is_a_fifo_that_nobody_reads: {"alive": True, "answered": 0},
    log_of_a_logging_configuration_is_a_link: {"victim": SAFE, "alive": True},
}


@pytest.mark.parametrize("story", LOGS, ids=lambda story: story.__name__)
def test_log_that_the_workers_user_has_put_elsewhere_gives_nothing_away(story: Story) -> None:
    found = tell(story)

    assert {key: found[key] for key in LOGS[story]} == LOGS[story], found["log"]


def rotate(jail: Jail, whose: Path, created_by: int | None) -> Outcome:
    """A rotation, after which master, mold and worker have the new files open and nothing else."""
    folder = whose / "logs"
    folder.mkdir()
    os.chown(folder, owner(whose), owner(whose))
    log, access = folder / "log", folder / "access"
    server = jail.server("--log-file", str(log), "--access-log", str(access))
    for path in (log, access):
        path.rename(f"{path}.1")
        if created_by is not None:
            path.touch()
            os.chown(path, created_by, created_by)
            path.chmod(0o640)
    server.signal(SIGUSR1)
    (worker,) = server.workers().values()

    def opened(pid: int) -> list[str]:
        links = [*Path(f"/proc/{pid}/fd").iterdir()]
        return sorted({str(link.readlink()) for link in links if str(link.readlink()).startswith(str(folder))})

    wanted = sorted([str(access), str(log)])
    server.wait_until(
        lambda: [opened(pid) for pid in (server.pid, worker, server.child("mold"))] == [wanted] * 3,
        what=f"the new files in use: {[opened(pid) for pid in (server.pid, worker, server.child('mold'))]}",
    )
    return {"owner": owner(log)}


def rotation_in_a_directory_of_the_workers(jail: Jail) -> Outcome:
    return rotate(jail, jail.home, None)


def rotation_in_a_directory_of_roots(jail: Jail) -> Outcome:
    return rotate(jail, jail.root, None)


def rotation_in_a_directory_of_roots_where_root_has_made_the_new_file(jail: Jail) -> Outcome:
    """As logrotate's `create` does."""
    return rotate(jail, jail.root, 0)


ROTATIONS = [
    rotation_in_a_directory_of_the_workers,
    rotation_in_a_directory_of_roots,
    rotation_in_a_directory_of_roots_where_root_has_made_the_new_file,
]


@pytest.mark.parametrize("story", ROTATIONS, ids=lambda story: story.__name__)
def test_after_a_rotation_everybody_writes_to_the_new_files(story: Story) -> None:
    assert tell(story)["owner"] == WORKER


# -- other files -----------------------------------------------------------------------------------------------------


def pid_file_is_written_through_a_link(jail: Jail) -> Outcome:
    victim = jail.victim()
    for pid in range(1, 400):
        (jail.home / f"pid.{pid}").symlink_to(victim)
    server = jail.server("--pid", str(jail.home / "pid"), ready=False)
    until(lambda: "serving" in server.log or not server.running, what="a start")
    return {"victim": state_of(victim)}


def pid_file_is_a_fifo(jail: Jail) -> Outcome:
    jail.does(lambda: os.mkfifo(jail.home / "pid"))
    server = jail.server("--pid", str(jail.home / "pid"))
    return {"victim": SAFE, "alive": server.running}


def admin_socket_is_swapped_for_a_link(jail: Jail) -> Outcome:
    victim, path = jail.victim(), jail.home / "admin.sock"

    def swap() -> None:
        path.rename(jail.home / "kept")  # once it is there
        path.symlink_to(victim)

    with jail.meanwhile(swap):
        server = jail.server(admin=f"unix://{path}")
    server.signal(SIGTERM)
    return {"victim": state_of(victim), "code": server.wait_exit()}


def unix_listener_is_below_a_link(jail: Jail) -> Outcome:
    (jail.home / "run").symlink_to(jail.root)
    config = f'[pool.main]\nhandler = "classic:EchoHandler"\nbind = ["unix://{jail.home}/run/made.sock"]\n'
    server = jail.server(config=config, ready=False)
    until(lambda: not server.running or "serving" in server.log, what="a start")
    return {"victim": SAFE if not (jail.root / "made.sock").exists() else "made"}


OTHERS = [
    pid_file_is_written_through_a_link,
    pid_file_is_a_fifo,
    admin_socket_is_swapped_for_a_link,
    unix_listener_is_below_a_link,
]


@pytest.mark.parametrize("story", OTHERS, ids=lambda story: story.__name__)
def test_file_that_the_workers_user_has_put_elsewhere_is_left_alone(story: Story) -> None:
    found = tell(story)

    assert found["victim"] == SAFE, found["log"]


def upgraded(jail: Jail) -> Outcome:
    server = jail.server()
    upgrade = server.run("upgrade", "--wait")
    devices = {path.name: owner(path) for path in Path("/dev").iterdir()}
    return {"devices": {name: uid for name, uid in devices.items() if uid}, "upgrade": upgrade.stderr}


def test_upgrade_gives_no_device_away() -> None:
    found = tell(upgraded)

    assert found["upgrade"] == ""
    assert found["devices"] == {}


# -- the directory of metrics ------------------------------------------------------------------------------------------


def attacked_during_upgrades(jail: Jail) -> Outcome:
    """Whatever root makes in a directory of theirs, they swap for a link to one of root's."""
    server = jail.server()
    (folder,) = Path("/tmp").glob("forkful-metrics-*")
    treasure = jail.root / "treasure"
    treasure.mkdir()
    (treasure / "kept").touch()

    def swap() -> None:
        for place in (folder, folder / "metrics"):
            try:
                for name in ("probe", *(path.name for path in place.iterdir())):
                    (place / name).rename(place / f"{name}.away")
                    (place / name).symlink_to(treasure)
            except OSError:
                continue

    with jail.meanwhile(swap):
        for _ in range(3):
            server.run("upgrade", "--wait")
    given = owner(treasure)
    outer = owner(folder)
    server.signal(SIGTERM)
    server.wait_exit()
    return {"given": given, "kept": (treasure / "kept").exists(), "outer": outer, "left": folder.exists()}


def test_directory_of_metrics_is_no_way_to_roots_directories() -> None:
    found = tell(attacked_during_upgrades)

    assert found["given"] == 0, "it was given to the workers' user"
    assert found["kept"]
    assert found["outer"] == 0, "what root makes directories in is root's"


def killed_master(jail: Jail) -> Outcome:
    server = jail.server(handler="counted:Counted")
    pids = [server.pid, *server.workers().values(), server.child("mold"), server.child("admin")]
    (left,) = Path("/tmp").glob("forkful-metrics-*")
    deep = left / "metrics"

    def dig() -> None:
        os.chdir(deep)
        for _ in range(3000):
            Path("d").mkdir()
            os.chdir("d")

    jail.does((deep / "file").touch)
    for pid in pids:
        os.kill(pid, SIGKILL)
    for pid in pids:
        gone(pid)
    server.was_killed()
    second = jail.server(handler="counted:Counted")
    swept = not left.exists()
    (now,) = Path("/tmp").glob("forkful-metrics-*")
    deep = now / "metrics"
    jail.does(dig)
    second.signal(SIGTERM)
    code = second.wait_exit()
    return {"swept": swept, "code": code}


def test_directory_of_a_killed_master_is_swept_and_one_too_deep_ends_nobody() -> None:
    found = tell(killed_master)

    assert found["swept"]
    assert found["code"] == 0
    assert "Traceback" not in found["log"]


def temporary_directory_of_the_workers(jail: Jail) -> Outcome:
    jail.server(env={"TMPDIR": str(jail.home)})
    return {"there": [path.name for path in jail.home.iterdir()]}


def test_root_makes_no_directory_in_a_temporary_directory_of_the_workers() -> None:
    assert tell(temporary_directory_of_the_workers)["there"] == []


# -- somebody else was here first --------------------------------------------------------------------------------------

ELSE = 1_234


def runtime_directory_of_somebody_else(jail: Jail) -> Outcome:
    """A user's own service, whose usual place another user has taken, with a socket that answers."""
    place = Path(f"/tmp/forkful-{WORKER}")
    fake = socket.socket(socket.AF_UNIX)

    def take() -> None:
        place.mkdir(mode=0o755)

    jail.does(take, user=ELSE)
    jail.root.chmod(0o777)
    fake.bind(str(place / "admin.sock"))
    os.chown(place / "admin.sock", ELSE, ELSE)
    (place / "admin.sock").chmod(0o777)
    fake.listen()
    result = jail.root / "result"

    def ask() -> None:
        os.environ.pop("RUNTIME_DIRECTORY", None)
        os.environ.pop("XDG_RUNTIME_DIR", None)
        import subprocess  # noqa: PLC0415  # in the jail, as that user
        import sys  # noqa: PLC0415

        told = subprocess.run(
            [sys.executable, "-m", "forkful.master.cli.main", "stop"],
            capture_output=True,
            timeout=30,
            check=False,
        )
        result.write_bytes(b"%d %s%s" % (told.returncode, told.stdout, told.stderr))

    jail.does(ask)
    fake.setblocking(False)
    try:
        fake.accept()
        connected = True
    except BlockingIOError:
        connected = False
    return {"connected": connected, "said": result.read_text()}


def test_command_does_not_talk_to_a_socket_where_somebody_else_was_first() -> None:
    found = tell(runtime_directory_of_somebody_else)

    assert not found["connected"]
    assert found["said"].startswith("1 ")
    assert f"belongs to another user ({ELSE})" in found["said"]
