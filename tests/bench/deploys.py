"""Deploys: wrk through HAProxy to two workers while they are reloaded and upgraded, and nobody may notice.

    python -m tests.bench deploys --reloads 20 --upgrades 5

Two ways at once: HAProxy keeps its connections to us and uses them again, and makes one for each request. What counts
is what wrk saw, and what HAProxy did to hide trouble from it: retries, redispatches, failed connections and answers.
(wrk connects once without asking anything; `http-ignore-probes` says that this is no bad request.)
Can go wrong: any of these is not zero, or a deploy fails: each is a line of the verdict.
"""

import argparse
import csv
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT

from tests.bench.hello import WSGI
from tests.bench.load import Outcome
from tests.bench.server import ROOT
from tests.bench.wrk import Wrk, read
from tests.kit.door import Door, host_port, open_door
from tests.kit.environment import short
from tests.kit.server import CLI, Server
from tests.kit.wait import PATIENCE, until

WAYS = ("kept", "closed")
LONGEST = 600  # seconds; wrk is told to stop when the deploys are done
#: HAProxy's own words for what it had to hide or could not: section 9.1 of its management guide.
TROUBLE = ("econ", "eresp", "ereq", "wretr", "wredis", "dresp", "hrsp_4xx", "hrsp_5xx")
CONFIG = """\
global
    maxconn 500
    stats socket {folder}/haproxy.sock level user
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    option http-ignore-probes
frontend kept
    bind fd@{kept}
    default_backend kept
frontend closed
    bind fd@{closed}
    default_backend closed
backend kept
    http-reuse safe
    server one {server}
backend closed
    http-reuse never
    option http-server-close
    server one {server}
"""


@dataclass(slots=True)
class Report:
    """What was done and what came of it."""

    deploys: dict[str, list[float]] = field(default_factory=lambda: {"reload": [], "upgrade": []})
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    proxied: dict[str, int] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def judge(self, trouble: dict[str, int], lost: float) -> None:
        """Whatever is not zero is a complaint."""
        for way, outcome in self.outcomes.items():
            if outcome.errors:
                self.complaints.append(f"{way}: wrk met {outcome.errors}")
        self.complaints += [f"HAProxy counted {count} {name}" for name, count in trouble.items() if count]
        if lost:
            self.complaints.append(f"forkful counted {lost:.0f} requests that did not end well")

    def __str__(self) -> str:
        lines = []
        for name, times in self.deploys.items():
            if times:
                lines.append(f"{len(times)} {name}s, {min(times):.2f} to {max(times):.2f} s each")
        for way, outcome in self.outcomes.items():
            errors = ", ".join(f"{count} {name}" for name, count in outcome.errors.items()) or "none"
            lines.append(
                f"  {way:6} {outcome.ok} answered in {outcome.seconds:.0f} s, errors: {errors}; p99 "
                f"{outcome.p99 / 1e3:.1f} ms; HAProxy passed on {self.proxied.get(way, 0)}"
            )
        lines += [f"  FAIL {complaint}" for complaint in self.complaints]
        return "\n".join(lines if self.complaints else [*lines, f"  HAProxy: 0 of each of {', '.join(TROUBLE)}"])


def plan(reloads: int, upgrades: int) -> Iterator[str]:
    """The upgrades evenly among the reloads."""
    done = 0
    for number in range(1, reloads + 1):
        yield "reload"
        while done < upgrades * number // reloads:
            yield "upgrade"
            done += 1
    yield from ["upgrade"] * (upgrades - done)


def run(reloads: int, upgrades: int, handler: str, folder: Path) -> Report:
    """Serve, proxy, load; deploy; stop and judge."""
    report = Report()
    with ExitStack() as life:
        back, fronts = open_door("tcp", folder), {way: open_door("tcp", folder) for way in WAYS}
        server = life.enter_context(_serving(folder, back, handler))
        life.enter_context(_haproxy(folder, back, fronts))
        loads = {way: life.enter_context(_wrk(front)) for way, front in fronts.items()}
        for step in plan(reloads, upgrades):
            began = time.monotonic()
            _deploy(server, step, report)
            report.deploys[step].append(time.monotonic() - began)
        for load in loads.values():
            load.send_signal(SIGINT)
        report.outcomes = {way: read(load.communicate(timeout=PATIENCE)[0]) for way, load in loads.items()}
        rows = statistics(folder / "haproxy.sock")
        report.proxied = {row["pxname"]: int(row["hrsp_2xx"]) for row in rows if row["svname"] == "BACKEND"}
        metrics = server.metrics_at_rest()
        counted = metrics.sum("forkful_requests_total")
        report.judge(troubles(rows), counted - metrics.sum("forkful_requests_total", outcome="ok"))
    return report


def _deploy(server: Server, step: str, report: Report) -> None:
    if step == "reload":
        server.hup()
        return
    upgraded = server.run("upgrade", "--wait")
    if upgraded.returncode:
        report.complaints.append(f"an upgrade failed: {upgraded.stdout}{upgraded.stderr}")


def troubles(rows: list[dict[str, str]]) -> dict[str, int]:
    """The sums of what HAProxy counts as trouble."""
    return {name: sum(int(row[name] or 0) for row in rows) for name in TROUBLE}


def statistics(path: Path) -> list[dict[str, str]]:
    """HAProxy's counters, a row for each frontend, backend and server."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"show stat\n")
        text = b"".join(iter(lambda: client.recv(65_536), b"")).decode()
    return list(csv.DictReader(io.StringIO(text.removeprefix("# "))))


@contextmanager
def _serving(folder: Path, door: Door, handler: str) -> Iterator[Server]:
    """The service; its end is a test."""
    server = Server(folder, [door])
    command = [*CLI, "serve", handler, "-b", door.url, "-w", "2", "--admin-bind", f"unix://{server.admin.path}"]
    server.launch(command, cwd=ROOT, env={})
    try:
        server.wait_ready()
        yield server
    finally:
        server.finish()


@contextmanager
def _haproxy(folder: Path, back: Door, fronts: dict[str, Door]) -> Iterator[None]:
    listeners = {way: front.listener for way, front in fronts.items() if front.listener}
    fds = {way: listener.fileno() for way, listener in listeners.items()}
    config = folder / "haproxy.cfg"
    config.write_text(CONFIG.format(folder=folder, server=host_port(back), **fds))
    with subprocess.Popen([_program(), "-db", "-f", str(config)], pass_fds=tuple(fds.values())) as process:
        for front in fronts.values():
            front.close()
        try:
            until(lambda: (folder / "haproxy.sock").exists() or process.poll(), what="HAProxy to start")
            yield
        finally:
            process.terminate()


@contextmanager
def _wrk(front: Door) -> Iterator["subprocess.Popen[str]"]:
    command = Wrk(connections=10).command(host_port(front), LONGEST)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _program() -> str:
    return shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin") or ""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench deploys", description="Deploys that nobody notices.")
    parser.add_argument("--reloads", type=int, default=20, help="HUPs (default 20)")
    parser.add_argument("--upgrades", type=int, default=5, help="upgrades among them (default 5)")
    parser.add_argument("--handler", default=WSGI, help=f"what is served (default {WSGI})")
    asked = parser.parse_args(arguments)
    if not _program():
        print("bench: no haproxy: apt install haproxy", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="forkful-deploys-", dir=short(tempfile.gettempdir())) as folder:
        report = run(asked.reloads, asked.upgrades, asked.handler, Path(folder))
    print(report)
    return int(bool(report.complaints))
