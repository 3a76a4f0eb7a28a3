"""Chaos: everything that can happen to a service happens at random, under load, and at the end the books must balance.

    python -m tests.bench chaos --minutes 10 --seed 1

Numbered requests over TCP, UDP and Unix sockets and over HTTP, to blocking lanes and event loops, while workers, molds
and the admin child are killed, workers are recycled and frozen, and the service is reloaded (also to what is broken),
scaled, emptied and upgraded. The seed makes the sequence of events the same again; when they meet which request is the
machine's doing.
Can go wrong: the books do not balance: each complaint is a line of the verdict.
"""

import argparse
import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGUSR2, SIGWINCH
from socket import SOCK_STREAM

from tests.kit.admin import Json, Metrics
from tests.kit.door import Door, open_door
from tests.kit.environment import short
from tests.kit.load import LOSSES, Load, Outcome
from tests.kit.server import APPS, CLI, Server
from tests.kit.wait import until
from tests.kit.web import WebLoad

CLIENTS = 2
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Served:
    """One pool. `at_risk` is how many requests one worker may have at a time, which a kill takes along."""

    handler: str
    door: str
    at_risk: int
    threads: int = 1
    http: bool = False

    def pool(self, name: str, url: str) -> str:
        """Its part of the settings file. Clients of HTTP keep their connections, and may be kept waiting themselves."""
        return (
            f'[pool.{name}]\nhandler = "chaotic:{self.handler}"\nbind = ["{url}"]\nworkers = {WORKERS}\n'
            f"threads = {self.threads}\nmax_requests = 300\npreload = true\nkeep_alive = 60\n"
        )

    def load(self, door: Door) -> Load:
        # A datagram that a killed worker took is never answered: whoever sent it shall not wait long.
        timeout = _PATIENCE if door.kind == SOCK_STREAM else 10.0
        return (WebLoad if self.http else Load)(door, clients=CLIENTS, timeout=timeout, may_lose=LOSSES)


#: A lane has one request. An event loop may have one of each client, also as a connection that is idle when it is
#: killed, which the client only finds out by its next request.
KINDS = {
    "tcp": Served("Stream", "tcp", 1),
    "udp": Served("Datagram", "udp", 1),
    "unix": Served("Stream", "unix", 2, threads=2),
    "coroutine": Served("coroutine", "tcp", CLIENTS),
    "protocol": Served("DatagramProtocol", "unixgram", 1),
    "wsgi": Served("wsgi_echo", "tcp", CLIENTS, threads=2, http=True),
    "asgi": Served("asgi_echo", "unix", CLIENTS, http=True),
}
_PATIENCE = 60.0  # seconds for an answer, and for the service to come to rest


@dataclass(slots=True)
class Books:
    """What one kind of socket's clients saw, and what the service counted."""

    answered: int = 0
    unanswered: int = 0
    given_up: int = 0  # of those, datagrams whose client waited no longer
    wrong: int = 0
    ok: int = 0
    lost: int = 0
    counted: int = 0
    kills: int = 0
    starts: int = 0
    exits: int = 0
    alive: int = 0
    remarks: list[str] = field(default_factory=list)

    def complaints(self, kind: str) -> Iterator[str]:
        """What does not balance.

        A worker that is killed between being given a request and noting it leaves no trace: at most `at_risk`
        requests of each that was killed. The kernel looks at the queue before it looks for signals, so a killed process
        that waits for a CPU takes its request along. One killed between answer and count has answered what counts as
        lost. Where threads call the application, one counts its call before the loop has sent the answer. A client of
        datagrams gives up after seconds, and while a pool is empty its datagram waits on and is answered to nobody.
        """
        hidden = self.answered + self.unanswered - self.counted
        at_most = self.kills * KINDS[kind].at_risk
        if self.wrong:
            yield f"{kind}: {self.wrong} wrong answers or refusals: {self.remarks}"
        if not 0 <= hidden <= at_most:
            yield f"{kind}: clients sent {hidden} more than were counted, with {self.kills} kills"
        unsent = at_most if KINDS[kind].http and KINDS[kind].threads > 1 else 0
        if not self.ok - unsent - self.given_up <= self.answered <= self.ok + self.lost:
            yield f"{kind}: {self.answered} were answered, but {self.ok} counted as ok and {self.lost} as lost"
        if not self.lost <= at_most or not self.unanswered <= at_most:
            yield f"{kind}: {self.lost} lost, {self.unanswered} unanswered, with {self.kills} kills: {self.remarks}"
        if self.counted != self.ok + self.lost:
            yield f"{kind}: {self.counted} counted, of which {self.ok} ok and {self.lost} lost"
        if self.starts - self.exits != self.alive:
            yield f"{kind}: {self.starts} starts less {self.exits} exits are not {self.alive} workers"


@dataclass(slots=True)
class Report:
    seed: int
    seconds: float
    events: Counter[str]
    books: dict[str, Books]
    scrapes: int
    complaints: list[str]

    def __str__(self) -> str:
        events = ", ".join(f"{count} {name}" for name, count in sorted(self.events.items()))
        lines = [f"seed {self.seed}, {self.seconds:.0f} s: {events}; {self.scrapes} scrapes"]
        for kind, books in self.books.items():
            lines.append(
                f"  {kind:9} sent {books.answered + books.unanswered:7}: answered {books.answered:7}, not "
                f"{books.unanswered:3} | counted {books.counted:7}: ok {books.ok:7}, lost {books.lost:3} | "
                f"workers killed {books.kills:3}, started {books.starts:4}, gone {books.exits:4}, alive {books.alive}"
            )
        lines += [f"  FAIL {complaint}" for complaint in self.complaints] or ["  the books balance, nothing is left"]
        return "\n".join(lines)


class Chaos:
    """One service and what befalls it."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.broken = server.folder / "broken"
        self.events: Counter[str] = Counter()
        self.kills: Counter[str] = Counter()
        self.fallen: list[str] = []
        self.scrapes = 0
        self._dice = random.Random(seed)
        self._last: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self._pause = threading.Event()
        self._happenings: dict[str, tuple[int, Callable[[], object]]] = {
            "kills": (8, self._kill),
            "recycled": (6, self._recycle),
            "frozen": (2, self._freeze),
            "recycled pools": (1, self._recycle_all),
            "emptied": (1, self._empty),
            "broken reloads": (1, self._break),
            "scales": (4, self._scale),
            "reloads": (3, lambda: server.signal(SIGHUP)),
            "upgrades": (2, lambda: server.signal(SIGUSR2)),
            "killed molds": (1, self._kill_mold),
            "killed admins": (1, self._kill_admin),
        }

    def befall(self, seconds: float) -> None:
        """Let things happen for so long, with a scrape after each."""
        names = [*self._happenings]
        weights = [weight for weight, _ in self._happenings.values()]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            (name,) = self._dice.choices(names, weights)
            if self._happenings[name][1]() is not False:
                self.events[name] += 1
            self._pause.wait(self._dice.uniform(0.02, 0.3))
            self.scrape()

    def rest(self) -> None:
        """Scale back, and wait until the service is whole."""
        until(self._status, what="an admin child that answers", within=_PATIENCE)
        for kind in KINDS:
            until(lambda kind=kind: self._scaled(kind), what="a scale command that is heard", within=_PATIENCE)  # type: ignore[misc]  # of a lambda's default

        def is_whole() -> bool:
            status = self._status()
            if status is None or status["phase"] != "RUNNING":
                return False
            phases = [[worker["phase"] for worker in pool["workers"]] for pool in status["pools"]]
            return all(phase == ["READY"] * WORKERS for phase in phases)

        until(is_whole, what="a service that is whole", within=_PATIENCE)

    def scrape(self) -> Metrics | None:
        """Look at the counters; none may be lower than ever before. None: the admin child is away for a moment."""
        try:
            metrics = self.server.metrics()
        except (OSError, AssertionError, ValueError):
            return None
        self.scrapes += 1
        now = metrics.counters()
        self.fallen += [
            f"{name} {dict(labels)} fell from {value} to {now.get((name, labels))}"
            for (name, labels), value in self._last.items()
            if now.get((name, labels), -1.0) < value
        ]
        self._last = now
        return metrics

    # -- what happens ------------------------------------------------------------------------------------------------

    def _status(self) -> Json | None:
        try:
            return self.server.status()
        except (OSError, AssertionError, ValueError):
            return None

    def _victim(self) -> tuple[str, int] | None:
        """A ready worker of a pool that has another one."""
        kind = self._dice.choice([*KINDS])
        chance = self._dice.random()
        pids = self._workers(kind)
        return (kind, pids[int(chance * len(pids))]) if len(pids) > 1 else None

    def _workers(self, kind: str) -> list[int]:
        try:
            return sorted(self.server.workers(kind).values())
        except (OSError, AssertionError, ValueError):
            return []

    def _kill(self) -> bool:
        victim = self._victim()
        if victim is None or not _signal(victim[1], SIGKILL):
            return False
        self.kills[victim[0]] += 1
        return True

    def _recycle(self) -> bool:
        victim = self._victim()
        return victim is not None and _signal(victim[1], SIGTERM)

    def _freeze(self) -> bool:
        """A worker stands still for a moment, as on a machine without memory; its clients wait."""
        victim = self._victim()
        if victim is None or not _signal(victim[1], SIGSTOP):
            return False
        self._pause.wait(self._dice.uniform(0.02, 0.5))
        return _signal(victim[1], SIGCONT)

    def _recycle_all(self) -> bool:
        kind = self._dice.choice([*KINDS])
        signalled = [_signal(pid, SIGTERM) for pid in self._workers(kind)]
        return any(signalled)

    def _empty(self) -> None:
        """No worker for a moment, in which clients queue. A reload that fails, or began earlier, brings none back."""
        self.server.signal(SIGWINCH)
        self._pause.wait(self._dice.uniform(0.02, 0.5))
        until(lambda: self.server.reload().returncode == 0, what="a reload that succeeds", within=_PATIENCE)

    def _break(self) -> bool:
        self.broken.touch()
        try:
            return self.server.reload().returncode != 0
        finally:
            self.broken.unlink()

    def _scale(self) -> bool:
        kind, workers = self._dice.choice([*KINDS]), self._dice.randint(1, 4)
        return self._scaled(kind, workers)

    def _scaled(self, kind: str, workers: int = WORKERS) -> bool:
        return self.server.run("scale", kind, str(workers)).returncode == 0

    def _kill_mold(self) -> bool:
        return _signal(self.server.child("mold"), SIGKILL)

    def _kill_admin(self) -> bool:
        return _signal(self.server.child("admin"), SIGKILL)


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def run(seed: int, seconds: float, folder: Path) -> Report:
    """Serve, befall, rest, balance."""
    with ExitStack() as life:
        doors = {kind: open_door(served.door, folder) for kind, served in KINDS.items()}
        server = life.enter_context(_serving(folder, doors))
        chaos = Chaos(server, seed)
        loads = {kind: served.load(doors[kind]) for kind, served in KINDS.items()}
        with ExitStack() as clients:
            for load in loads.values():
                clients.enter_context(load)
            chaos.befall(seconds)
            chaos.rest()
        metrics = until(lambda: _at_rest(chaos), what="a scrape at rest", within=_PATIENCE)
        books = {kind: _balance(kind, load, metrics, chaos) for kind, load in loads.items()}
        complaints = chaos.fallen + [text for kind in KINDS for text in books[kind].complaints(kind)]
        report = Report(seed, seconds, chaos.events, books, chaos.scrapes, complaints)
        try:
            life.close()  # whose end proves that nothing is left
        except AssertionError as error:
            report.complaints.append(str(error))
        if report.complaints:
            report.complaints.append(f"its log: {_kept_log(server, seed)}")
    return report


def _at_rest(chaos: Chaos) -> Metrics | None:
    """A page on which nobody is connected, and nobody comes or goes."""
    metrics = chaos.scrape()
    if metrics is None or metrics.sum("forkful_connections_active"):
        return None
    return None if any(metrics.sum("forkful_workers", state=state) for state in ("starting", "draining")) else metrics


def _balance(kind: str, load: Load, metrics: Metrics, chaos: Chaos) -> Books:
    requests = "forkful_requests_total"
    return Books(
        answered=load.ok,
        unanswered=load.accounting[Outcome.RESET] + load.accounting[Outcome.TIMEOUT],
        given_up=load.accounting[Outcome.TIMEOUT] if KINDS[kind].door in ("udp", "unixgram") else 0,
        wrong=load.accounting[Outcome.WRONG] + load.accounting[Outcome.REFUSED],
        ok=int(metrics.sum(requests, pool=kind, outcome="ok")),
        lost=int(metrics.sum(requests, pool=kind, outcome="lost")),
        counted=int(metrics.sum(requests, pool=kind)),
        kills=chaos.kills[kind],
        starts=int(metrics.sum("forkful_worker_starts_total", pool=kind)),
        exits=int(metrics.sum("forkful_worker_exits_total", pool=kind)),
        alive=len(chaos.server.workers(kind)),
        remarks=load.remarks,
    )


@contextmanager
def _serving(folder: Path, doors: dict[str, Door]) -> Iterator[Server]:
    """The service; its end is a test."""
    server = Server(folder, list(doors.values()))
    server.may_log_tracebacks = True  # of broken reloads
    text = "".join(served.pool(kind, doors[kind].url) for kind, served in KINDS.items())
    (folder / "forkful.toml").write_text(text)
    command = [*CLI, "serve", "-c", str(folder / "forkful.toml"), "--admin-bind", f"unix://{server.admin.path}"]
    server.launch(command, cwd=APPS, env={"BROKEN": str(folder / "broken")})
    try:
        server.wait_ready()
        yield server
    finally:
        server.finish()


def _kept_log(server: Server, seed: int) -> Path:
    path = Path(tempfile.gettempdir()) / f"forkful-chaos-{seed}.log"
    path.write_text(server.log)
    return path


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench chaos", description="Books that balance, whatever happens.")
    parser.add_argument("--minutes", type=float, default=1.0, help="for how long (default 1)")
    parser.add_argument("--seed", type=int, default=None, help="of the sequence of events (default: a new one)")
    asked = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1 << 16) if asked.seed is None else asked.seed
    with tempfile.TemporaryDirectory(prefix="forkful-chaos-", dir=short(tempfile.gettempdir())) as folder:
        report = run(seed, asked.minutes * 60, Path(folder))
    print(report)
    return int(bool(report.complaints))
