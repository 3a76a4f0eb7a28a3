"""In a container: nothing to write to, nobody in passwd, no HOME, a quota of CPUs, as process 1."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT, SIGTERM, Signals

import pytest

from tests.conftest import Serve
from tests.kit.app import App
from tests.kit.container import STRANGER, Container, stranger, wrapper
from tests.kit.door import Door
from tests.kit.server import CLI
from tests.kit.wait import until

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make these namespaces"),
    pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is missing"),
]
Doors = Callable[[str], Door]
NAMED = ("TMPDIR", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "HOME")
UNSEEN = "handlers' own prometheus_client metrics are not on /metrics"


# -- a read-only file system -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/tmp", "/var/tmp", "/dev/shm", "/run"])
def test_read_only_root_does_with_any_place_that_can_be_written(
    place: str, serve: Serve, doors: Doors, tmp_path: Path
) -> None:
    door = doors("tcp")
    around = wrapper(tmp_path, read_only=True, writable=[place], unset=NAMED)
    server = serve("counted:Counted", "--workers", "2", binds=[door], wrapper=around)
    assert door.ask(b"x")
    assert UNSEEN not in server.log
    server.wait_until(lambda: server.metrics().sum("app_echoes_total") == 1, what="the handler's own count")
    assert server.reload().returncode == 0
    assert server.run("upgrade", "--wait").returncode == 0
    assert door.ask(b"x")
    server.now_holds_more()


def test_directory_that_the_operator_names_is_taken_first(serve: Serve, doors: Doors, tmp_path: Path) -> None:
    door = doors("tcp")
    around = wrapper(tmp_path, read_only=True, writable=["/tmp", "/srv"], unset=NAMED)
    server = serve("counted:Counted", binds=[door], wrapper=[*around, "env", "TMPDIR=/srv"])
    inside = Path(f"/proc/{server.pid}/root")
    assert [path.name[:16] for path in (inside / "srv").iterdir()] == ["forkful-metrics-"]
    assert not [*(inside / "tmp").glob("forkful-*")]


def test_without_any_place_only_the_handlers_metrics_are_missing_and_that_is_said_once(
    serve: Serve, doors: Doors, tmp_path: Path
) -> None:
    door = doors("tcp")
    server = serve(
        "counted:Counted", "--workers", "2", binds=[door], wrapper=wrapper(tmp_path, read_only=True, unset=NAMED)
    )
    assert door.ask(b"x")
    assert server.metrics().sum("app_echoes_total") == 0
    assert server.metrics().sum("forkful_requests_total", outcome="ok") == 1
    assert server.reload().returncode == 0
    upgraded = server.run("upgrade", "--wait")
    assert upgraded.returncode == 0, upgraded.stderr
    assert door.ask(b"x")
    assert server.log.count(UNSEEN) == 2, "once by each image"
    server.now_holds_more()


@pytest.mark.parametrize("place", ["/dev/shm", "/run", ""])
def test_commands_find_the_service_where_nothing_usual_can_be_written(
    place: str, serve: Serve, doors: Doors, tmp_path: Path
) -> None:
    door = doors("tcp")
    places = [place] if place else []
    around = wrapper(tmp_path, read_only=True, writable=places, unset=(*NAMED, "FORKFUL_ADMIN_BIND"))
    command = [*CLI, "serve", "classic:EchoHandler", "--bind", door.url]
    server = serve(script=command, binds=[door], wrapper=around)
    assert door.ask(b"x") == b"x"
    environment = ["env", *(f"--unset={name}" for name in NAMED)]
    enter = ["nsenter", "--mount", f"--target={server.pid}", *environment, *CLI]
    told = subprocess.run([*enter, "reload", "--wait"], capture_output=True, text=True, timeout=60, check=False)
    if place:
        assert told.returncode == 0, told.stderr
        assert "serves" in told.stdout
    else:
        assert "no service of this user answers" in told.stderr or "no forkful answers" in told.stderr
        assert "the admin child does not listen on this address" in server.log


def test_large_body_of_unknown_length_needs_no_place_either(serve: Serve, doors: Doors, tmp_path: Path) -> None:
    door = doors("tcp")
    server = serve("wsgi:echo", binds=[door], wrapper=wrapper(tmp_path, read_only=True, unset=NAMED))
    piece = b"x" * 65_536
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for _ in range(20)) + b"0\r\n\r\n"
    with door.connect() as client:
        client.sendall(
            b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body
        )
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
    assert server.running


# -- nobody ------------------------------------------------------------------------------------------------------------


def test_user_without_an_entry_and_without_a_home_runs_a_service(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    around = [*stranger(), "env", *(f"--unset={name}" for name in NAMED if name != "TMPDIR")]
    server = serve("counted:Counted", "--workers", "2", binds=[door], wrapper=around)
    assert door.ask(b"x")
    uids = [line for line in Path(f"/proc/{server.pid}/uid_map").read_text().splitlines() if str(STRANGER) in line]
    assert uids
    assert server.reload().returncode == 0
    upgraded = server.run("upgrade", "--wait")
    assert upgraded.returncode == 0, upgraded.stderr
    assert door.ask(b"x")
    server.now_holds_more()


# -- quotas ------------------------------------------------------------------------------------------------------------

DOCKER = "/docker/4d5c"
QUOTAS = {
    "v2, in a namespace of its own": ("0::/", {"cpu.max": "100000 100000"}, 1),
    "v2, a part of a CPU": ("0::/", {"cpu.max": "20000 100000"}, 1),
    "v2, more than a CPU": ("0::/", {"cpu.max": "150000 100000"}, 2),
    "v2, none": ("0::/", {"cpu.max": "max 100000"}, 2),
    "v2, of the group above": (
        "0::/pod/one",
        {"pod/cpu.max": "100000 100000", "pod/one/cpu.max": "max 100000", "cpu.max": "max 100000"},
        1,
    ),
    "v1, the mount is the group itself": (
        f"4:cpu,cpuacct:{DOCKER}",
        {"cpu,cpuacct/cpu.cfs_quota_us": "100000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
        1,
    ),
    "v1, the mount is all groups": (
        f"3:cpu:{DOCKER}",
        {f"cpu{DOCKER}/cpu.cfs_quota_us": "50000", f"cpu{DOCKER}/cpu.cfs_period_us": "100000"},
        1,
    ),
    "v1, none": ("3:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 2),
}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU shows nothing")
@pytest.mark.parametrize(("cgroup", "files", "workers"), QUOTAS.values(), ids=QUOTAS)
def test_auto_is_what_the_quota_leaves(
    cgroup: str, files: dict[str, str], workers: int, serve: Serve, tmp_path: Path
) -> None:
    around = [*wrapper(tmp_path, cgroup=cgroup, files=files), "taskset", "--cpu-list", _two_cpus()]
    server = serve("classic:EchoHandler", "--workers", "auto", wrapper=around)
    assert len(server.workers()) == workers, server.log


def _two_cpus() -> str:
    return ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))


def test_who_says_nothing_gets_one_worker_whatever_the_quota(serve: Serve, tmp_path: Path) -> None:
    server = serve("classic:EchoHandler", wrapper=wrapper(tmp_path, cgroup="0::/", files={"cpu.max": "400000 100000"}))
    assert len(server.workers()) == 1


@pytest.mark.parametrize(
    ("cgroup", "files"),
    [
        ("0::/", {"memory.max": "536870912", "cpu.max": "50000 100000"}),
        (
            f"5:memory:{DOCKER}\n3:cpu:{DOCKER}",
            {
                "memory/memory.limit_in_bytes": "536870912",
                "cpu/cpu.cfs_quota_us": "50000",
                "cpu/cpu.cfs_period_us": "100000",
            },
        ),
    ],
    ids=["v2", "v1"],
)
def test_what_asks_for_more_than_the_container_has_is_warned_of(
    cgroup: str, files: dict[str, str], serve: Serve, tmp_path: Path
) -> None:
    flags = ("--workers", "9", "--max-rss", "100M")
    server = serve("classic:EchoHandler", *flags, wrapper=wrapper(tmp_path, cgroup=cgroup, files=files))
    assert server.log.count("--workers: 9 workers share 0.5 CPUs, the quota of the control group") == 1
    assert server.log.count("--max-rss: workers may come to 900 MiB, and the control group allows 512") == 1
    assert len(server.workers()) == 9


# -- process 1 ---------------------------------------------------------------------------------------------------------

ORPHANS = """\
import os
from socketserver import BaseRequestHandler

class Handler(BaseRequestHandler):
    def handle(self):
        self.request.recv(9)
        told, tell = os.pipe()
        if os.fork() == 0:
            if os.fork() == 0:
                os.setsid()  # as daemons do it
                os.read(told, 1)
                os._exit(3)
            os._exit(0)
        os.wait()
        os.write(tell, b"!")
        self.request.sendall(b"forked")
"""


@pytest.fixture
def contained(tmp_path: Path, doors: Doors, app: App) -> Iterator[tuple[Container, Door]]:
    folder, door = tmp_path / "container", doors("tcp")
    folder.mkdir()
    server = Container(folder, [door])
    command = [*CLI, "serve", "--admin-bind", f"unix://{server.admin.path}", "--bind", door.url, "--workers", "2"]
    app.write(ORPHANS)
    server.launch([*command, app.handler], cwd=app.folder, env={})
    server.wait_ready()
    yield server, door
    server.finish()


def zombies(of: int) -> list[str]:
    """The children of a process that nobody has reaped."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        found += [path.parent.name] if state == "Z" and int(parent) == of else []
    return found


def test_as_process_1_it_reaps_orphans_and_goes_on(contained: tuple[Container, Door]) -> None:
    server, door = contained
    assert server.status()["pid"] == 1
    for _ in range(20):
        assert door.ask(b"x") == b"forked"
    until(lambda: not zombies(server.master), what="no zombies")
    os.kill(server.child("worker"), SIGKILL)
    server.wait_until(lambda: server.pool()["deaths"] == 1 and len(server.workers()) == 2, what="a successor")
    assert server.run("reload", "--wait").returncode == 0
    assert server.run("upgrade", "--wait").returncode == 0
    assert door.ask(b"x") == b"forked"


@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGQUIT])
def test_as_process_1_it_ends_when_it_is_told_to(number: Signals, contained: tuple[Container, Door]) -> None:
    server, _ = contained
    server.signal(number)
    assert server.wait_exit() == 0


def test_stop_wait_finds_process_1_from_outside(contained: tuple[Container, Door]) -> None:
    server, _ = contained
    stopped = server.run("stop", "--wait")
    assert (stopped.returncode, stopped.stdout[:13]) == (0, "stopped after"), stopped.stderr
    assert server.wait_exit() == 0


def test_stop_wait_inside_ends_with_the_container(contained: tuple[Container, Door]) -> None:
    server, _ = contained
    server.inside(*CLI, "stop", "--wait", "--admin", f"unix://{server.admin.path}")  # the kernel ends it, too
    assert server.wait_exit() == 0
