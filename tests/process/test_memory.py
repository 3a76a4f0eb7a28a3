"""A worker that has grown beyond its limit is replaced gracefully; preloaded memory stays shared."""

from collections.abc import Callable
from pathlib import Path

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.app import App
from tests.kit.door import Door
from tests.kit.load import Load

Doors = Callable[[str], Door]
MB = 1 << 20
EXITS = "forkful_worker_exits_total"


def test_worker_beyond_max_rss_is_replaced_and_nothing_is_lost(serve: Serve, doors: Doors) -> None:
    door, other = doors("tcp"), doors("tcp")
    limit = 120 * MB
    text = (
        f'[pool.hog]\nhandler = "patient:Hog"\nbind = ["{door.url}"]\nmax_rss = {limit}\n'
        f'[pool.echo]\nhandler = "classic:EchoHandler"\nbind = ["{other.url}"]\nmax_rss = {limit}\n'
    )
    server = serve(binds=[door, other], config=text)
    bystander, hog = server.workers("echo"), server.workers("hog")[0]
    assert processes.resident(hog) < limit
    assert int(door.ask(b"%d" % (130 * MB))) == 130 * MB
    shown = server.metrics().sum("forkful_worker_resident_memory_bytes", pool="hog")
    assert 0.9 < shown / processes.resident(hog) < 1.1
    assert shown > limit
    server.wait_for_log("used up (max_rss)")
    (successor,) = server.wait_for_workers(1, pool="hog", besides=[hog]).values()

    assert processes.resident(successor) < limit
    assert int(door.ask(b"1")) == 1
    assert server.metrics().sum(EXITS, pool="hog", reason="max_rss") == 1
    assert server.metrics().sum(EXITS, pool="hog") == 1
    assert server.workers("echo") == bystander


def test_peak_that_is_over_after_a_sample_is_no_reason_to_leave(serve: Serve, doors: Doors, app: App) -> None:
    app.write(
        "import mmap\nfrom socketserver import BaseRequestHandler\n"
        "class Handler(BaseRequestHandler):\n"
        "    def handle(self):\n"
        "        peak = mmap.mmap(-1, int(self.request.recv(100)))\n"
        "        peak.write(bytes(len(peak)))\n"
        "        self.request.recv(100)\n"
        "        peak.close()\n"
        "        self.request.sendall(b'done')\n"
    )
    door = doors("tcp")
    server = serve(app.handler, "--max-rss", f"{100 * MB}", binds=[door], cwd=app.folder)
    worker = server.workers()[0]
    with door.connect() as client:
        client.sendall(b"%d" % (100 * MB))
        server.wait_until(lambda: processes.resident(worker) > 110 * MB, what="the peak")
        server.wait_until(lambda: server.metrics().sum("forkful_oldest_request_seconds") > 1.3, what="a sample")
        client.sendall(b"over")
        assert client.recv(100) == b"done"

    assert server.workers() == {0: worker}
    assert "max_rss" not in server.log


def test_workers_of_an_age_are_replaced_one_by_one_and_nothing_is_lost(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    text = f'[pool.main]\nhandler = "classic:EchoHandler"\nbind = ["{door.url}"]\nworkers = 3\nmax_worker_age = 1\n'
    server = serve(binds=[door], config=text)
    before = server.workers()
    with Load(door) as load:
        server.wait_for_workers(3, besides=list(before.values()))
        load.more(10)
    assert server.metrics().sum(EXITS, reason="max_age") >= 3


def test_preloaded_memory_is_shared_by_the_workers_and_a_collection_does_not_unshare_it(
    serve: Serve, doors: Doors, app: App
) -> None:
    """gc.freeze() before the fork: a full collection in a worker writes to no page of what the mold imported."""
    app.write(
        "import gc\nfrom socketserver import BaseRequestHandler\n"
        "kept = [[n] for n in range(300_000)]\n"
        "class Handler(BaseRequestHandler):\n"
        "    def handle(self):\n"
        "        self.request.recv(100)\n"
        "        gc.collect()\n"
        "        self.request.sendall(b'%d' % gc.get_freeze_count())\n"
    )
    door = doors("tcp")
    server = serve(app.handler, "--preload", binds=[door], cwd=app.folder)
    worker = server.workers()[0]
    assert int(door.ask(b"collect")) > 300_000

    assert private(worker) < 8 * MB, "of 30 MB"


def private(pid: int) -> int:
    """Bytes that a process shares with nobody."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private"))
