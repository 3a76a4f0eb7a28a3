"""A worker that the kernel kills for lack of memory is told from one that somebody kills."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.conftest import Serve
from tests.kit.app import ECHO, App
from tests.kit.door import Door
from tests.kit.wait import gone
from tests.peers.neighbour import missing

Doors = Callable[[str], Door]
EXITS = "forkful_worker_exits_total"
MB = 1 << 20
_LIMITS = {"memory.max": "memory.swap.max", "memory.limit_in_bytes": "memory.memsw.limit_in_bytes"}


def _folders() -> Iterator[Path]:
    """Where a memory cgroup of ours may be made, in version 2 and 1."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            yield Path("/sys/fs/cgroup", controllers, path.lstrip("/"), f"forkful-test-{os.getpid()}")


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup with room for 200 MB."""
    for folder in _folders():
        try:
            folder.mkdir()
        except OSError:
            continue
        limit = next((name for name in _LIMITS if (folder / name).exists()), None)
        if limit is not None:
            (folder / limit).write_text(f"{200 * MB}")
            if (swap := folder / _LIMITS[limit]).exists():
                swap.write_text("0" if limit == "memory.max" else f"{200 * MB}")
            yield folder
            folder.rmdir()
            return
        folder.rmdir()
    missing("no memory cgroup can be made here")


def test_worker_killed_for_lack_of_memory_is_oom_and_one_killed_by_somebody_is_not(
    cgroup: Path, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    join = ("sh", "-c", f'echo $$ > {cgroup}/cgroup.procs && exec "$@"', "sh")
    server = serve("patient:Hog", binds=[door], wrapper=join)
    first = server.workers()[0]
    server.kill(first, SIGKILL)
    (second,) = server.wait_for_workers(1, besides=[first]).values()
    with door.connect() as client:
        client.sendall(b"%d" % (400 * MB))
        gone(second)
    log = server.wait_for_log("died (oom)")
    server.wait_for_workers(1, besides=[second])

    assert "killed by SIGKILL" in log
    metrics = server.metrics()
    assert (metrics.sum(EXITS, reason="signal"), metrics.sum(EXITS, reason="oom")) == (1, 1)


def test_kill_of_a_handlers_child_for_lack_of_memory_says_nothing_of_workers_that_came_after(
    cgroup: Path, serve: Serve, doors: Doors, app: App
) -> None:
    app.write(
        "import subprocess, sys\nfrom socketserver import BaseRequestHandler\n"
        "class Handler(BaseRequestHandler):\n"
        "    def handle(self):\n"
        f"        done = subprocess.run([sys.executable, '-c', 'x = b\"x\" * {400 * MB}'])\n"
        "        self.request.sendall(b'%d' % done.returncode)\n"
    )
    door = doors("tcp")
    join = ("sh", "-c", f'echo $$ > {cgroup}/cgroup.procs && exec "$@"', "sh")
    server = serve(app.handler, binds=[door], cwd=app.folder, wrapper=join)
    assert door.ask(b"") == b"-9"
    server.run("scale", "main", "2")
    workers = server.wait_for_workers(2)
    server.kill(workers[0])
    server.wait_for_workers(2, besides=[workers[0]])

    metrics = server.metrics()
    assert (metrics.sum(EXITS, reason="signal"), metrics.sum(EXITS, reason="oom")) == (1, 0)
    server.now_holds_more()


def test_reload_whose_canary_is_killed_for_lack_of_memory_fails(
    cgroup: Path, serve: Serve, doors: Doors, app: App
) -> None:
    door = doors("tcp")
    join = ("sh", "-c", f'echo $$ > {cgroup}/cgroup.procs && exec "$@"', "sh")
    server = serve(app.handler, binds=[door], cwd=app.folder, wrapper=join)
    workers = server.workers()
    app.write(f"kept = b'x' * {400 * MB}\n" + ECHO.format(suffix=""))
    result = server.reload()

    assert result.returncode == 1, result.stdout
    assert "killed by SIGKILL" in result.stdout + result.stderr
    assert server.metrics().sum(EXITS, reason="oom") == 1
    assert server.workers() == workers
    assert door.ask(b"served") == b"served"
