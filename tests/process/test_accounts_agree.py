"""Exit reasons, deaths, starts and reloads: status, page, metrics and log say the same, whatever has happened."""

import re
from collections import Counter
from collections.abc import Callable
from signal import SIGABRT, SIGKILL, SIGSEGV, SIGTERM

from tests.conftest import Serve
from tests.kit.app import BROKEN, App
from tests.kit.door import Door
from tests.kit.server import Server

Doors = Callable[[str], Door]
HANDLER = """\
import os, signal, threading
from socketserver import BaseRequestHandler

class Handler(BaseRequestHandler):
    def handle(self):
        said = self.request.recv(1024)
        if said == b"stuck":
            threading.Event().wait()
        if said == b"die":
            os._exit(9)
        self.request.sendall(said)
"""
LEFT = re.compile(r"worker (\w+)\[\d+\] gen=\d+ pid=\d+: (gone|died) \((\w+)\)")


def said_in_log(server: Server) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Exits by pool and reason, and deaths by pool."""
    lines = LEFT.findall(server.log)
    exits = Counter((pool, reason) for pool, _, reason in lines)
    return exits, Counter(pool for pool, how, _ in lines if how == "died")


def assert_they_agree(server: Server) -> None:
    metrics, status = server.metrics(), server.status()
    exits, deaths = said_in_log(server)
    page = server.admin.get("/")[1]
    shown = re.findall(r"<dt>deaths</dt><dd><span class=\"\w*\">([\d,]+)</span>", page)
    table = server.run("status").stdout
    for number, pool in enumerate(status["pools"]):
        name = pool["name"]
        mine = {reason: count for (other, reason), count in exits.items() if other == name}
        assert pool["exits"] == mine, name
        for reason in {*mine, "boot_failed", "crash"}:
            assert metrics.sum("forkful_worker_exits_total", pool=name, reason=reason) == mine.get(reason, 0)
        assert metrics.sum("forkful_worker_deaths_total", pool=name) == pool["deaths"] == deaths[name]
        assert shown[number] == str(deaths[name])
        assert re.search(rf"^{name} .*\s{deaths[name]}$", table, re.MULTILINE), table
        assert metrics.sum("forkful_worker_starts_total", pool=name) == sum(mine.values()) + len(pool["workers"])
        assert pool["starts"] == sum(mine.values()) + len(pool["workers"])
    succeeded = len(re.findall(r"reload: generation \d+ serves", server.log))
    failed = server.log.count("reload failed, the old")
    assert status["counters"]["reloads"] == {"success": succeeded, "failure": failed, "rolled_back": 0}
    for result, count in (("success", succeeded), ("failure", failed)):
        assert metrics.sum("forkful_reloads_total", result=result) == count


def test_all_accounts_agree_after_much_has_happened(serve: Serve, doors: Doors, app: App) -> None:
    door, other = doors("tcp"), doors("tcp")
    app.write(HANDLER)
    server = serve(
        binds=[door, other],
        cwd=app.folder,
        config=f"""
        [pool.main]
        handler = "versioned:Handler"
        bind = ["{door.url}"]
        workers = 2
        timeout = 1
        [pool.recycled]
        handler = "versioned:Handler"
        bind = ["{other.url}"]
        max_requests = 5
        max_requests_jitter = 0
        """,
    )
    server.may_log_tracebacks = True
    died, left = Counter[str](), Counter[str]()

    def replaced(pid: int, pool: str = "main", count: int = 2) -> None:
        server.wait_for_workers(count, pool=pool, besides=[pid])

    for number, reason in ((SIGKILL, "signal"), (SIGSEGV, "crash"), (SIGABRT, "crash"), (SIGTERM, "")):
        pid = server.workers()[1]
        server.kill(pid, number)
        replaced(pid)
        died[reason] += bool(reason)
    left["signal"] += 1  # TERM drains: it leaves as it was told to
    with door.connect() as client:
        before = server.workers()
        client.sendall(b"die")
        assert client.recv(9) == b""
        server.wait_until(lambda: server.pool()["deaths"] == died.total() + 1, what="a death")
        died["crash"] += 1
        server.wait_for_workers(2)
    with door.connect() as client:
        before = server.workers()
        client.sendall(b"stuck")
        assert client.recv(9) == b""
        died["timeout"] += 1
        server.wait_until(lambda: server.workers() != before and len(server.workers()) == 2, what="a successor")

    def recycled_twice() -> bool:
        assert other.ask(b"x") == b"x"
        return int(server.pool("recycled")["exits"].get("max_requests", 0)) >= 2

    server.wait_until(recycled_twice, what="recycled workers")
    server.wait_for_workers(1, pool="recycled")
    assert_they_agree(server)

    for source, word in BROKEN.values():
        app.write(source)
        failed = server.reload()
        assert failed.returncode == 1, failed.stdout
        assert word in failed.stderr
    app.write(HANDLER)
    assert server.reload().returncode == 0
    left["reload"] += 2
    server.wait_for_workers(2)
    assert server.run("scale", "main", "1").returncode == 0
    left["scale_down"] += 1
    server.wait_for_workers(1)
    server.wait_for_workers(1, pool="recycled")

    main, recycled = server.pool(), server.pool("recycled")
    assert main["deaths"] == died.total()
    assert recycled["deaths"] == 0, "who is tried and fails is no death"
    tried = sum(pool["exits"].get("reload", 0) for pool in (main, recycled)) - 3  # who left for the good reload
    assert tried >= len(BROKEN), "each broken version had one, or its pools one each, that was tried"
    assert "boot_failed" not in main["exits"] | recycled["exits"]
    assert {reason: main["exits"][reason] for reason in died + left if reason != "reload"} == dict(
        died + left - Counter(reload=2)
    )
    assert_they_agree(server)
