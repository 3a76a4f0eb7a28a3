"""The view: facts, scoreboard and processes, read together into one record of each pool for pages and metrics.

The three are read at slightly different moments. This module keeps them from contradicting each other: a counter
never falls.
Can go wrong: the master does not answer (`NoAnswerError`).
"""

import threading
import time
from collections.abc import Iterable, Mapping

from forkful.conf.light import dataclass
from forkful.master.admin.master_client import MasterClient
from forkful.master.model.facts import Facts, Pool
from forkful.master.system import processes
from forkful.master.system.processes import Usage
from forkful.worker.ipc import scoreboard
from forkful.worker.ipc.scoreboard import BOUNDS, BUCKETS, Scoreboard, Totals

#: How a request may end, and the cell that counts it; what ended and is in none of these went well.
OUTCOMES = {
    "error": scoreboard.ERROR,
    "reset": scoreboard.RESET,
    "refused": scoreboard.REFUSED,
    "timeout": scoreboard.TIMEOUT,
    "lost": scoreboard.LOST,
}


#: The classes of HTTP answers, and the cell that counts each.
RESPONSES = {f"{number}xx": scoreboard.RESPONSES + number - 1 for number in range(1, 6)}


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool: what the master says, what the scoreboard counts, and what its living workers (by pid) have taken."""

    facts: Pool
    totals: Totals
    requests: Mapping[str, int]  # by outcome
    usage: Mapping[int, Usage]
    cpu_seconds: float  # of all workers there ever were
    busy_seconds: float  # of lanes, with what goes on still, and of event loops
    oldest_seconds: float

    def cell(self, number: int) -> int:
        return self.totals.cells[number]

    def seconds(self, number: int) -> float:
        return self.totals.cells[number] / 1e9

    @property
    def responses(self) -> dict[str, int]:
        """HTTP answers by class; empty for a pool that has nothing to do with HTTP."""
        counts = {code: self.cell(cell) for code, cell in RESPONSES.items()}
        is_http = any(each["address"].startswith("http") for each in self.facts["listeners"])
        return counts if is_http or any(counts.values()) else {}

    @property
    def duration_seconds(self) -> float:
        """What all requests that have ended took together."""
        return self.seconds(scoreboard.BUSY) + self.seconds(scoreboard.OVERLAPPED)

    @property
    def buckets(self) -> tuple[int, ...]:
        return self.totals.cells[BUCKETS : BUCKETS + len(BOUNDS) + 1]


@dataclass(frozen=True, slots=True)
class View:
    facts: Facts
    pools: tuple[PoolView, ...]


class Viewer:
    """Takes views. It remembers the last one only as far as its counters must not fall."""

    def __init__(self, master: MasterClient, board: Scoreboard) -> None:
        self.master = master
        self.board = board
        self._lock = threading.Lock()
        self._ok: dict[int, int] = {}  # by the pool's number
        self._busy: dict[int, float] = {}  # by the pool's number, seconds
        self._cpu: dict[int, float] = {}  # by the worker's pid

    def take(self) -> View:
        facts, usages = self._look()
        with self._lock:
            totals = self.board.snapshot(pool["number"] for pool in facts["pools"])
            now = time.monotonic_ns()
            # One that was reaped since the master answered counts with what we last saw, until the master has its sum.
            self._cpu = {
                pid: usages[pid].cpu_seconds if pid in usages else self._cpu.get(pid, 0.0) for pid in _pids(facts)
            }
            pools = (self._view(pool, totals[pool["number"]], usages, now) for pool in facts["pools"])
            return View(facts, tuple(pools))

    def _look(self) -> tuple[Facts, dict[int, Usage]]:
        """Facts, and what the living workers in them have taken."""
        facts, usages = self._look_once()
        if any(pid not in usages and pid not in self._cpu for pid in _pids(facts)):
            return self._look_once()  # it was reaped before we ever saw it: the master has its sum by now
        return facts, usages

    def _look_once(self) -> tuple[Facts, dict[int, Usage]]:
        facts = self.master.facts()
        return facts, {pid: usage for pid in _pids(facts) if (usage := processes.usage(pid, facts["pid"]))}

    def _view(self, pool: Pool, totals: Totals, usages: Mapping[int, Usage], now: int) -> PoolView:
        pids = [worker["pid"] for worker in pool["workers"]]
        return PoolView(
            facts=pool,
            totals=totals,
            requests=self._requests(pool["number"], totals),
            usage={pid: usages[pid] for pid in pids if pid in usages},
            cpu_seconds=pool.get("departed_cpu_seconds", 0.0) + sum(self._cpu.get(pid, 0.0) for pid in pids),
            busy_seconds=self._busy_seconds(pool["number"], totals, now),
            oldest_seconds=max(0, now - totals.oldest_since) / 1e9 if totals.oldest_since else 0.0,
        )

    def _busy_seconds(self, number: int, totals: Totals, now: int) -> float:
        """A request that ends between two of its lane's writes is missing for that moment: it was there, and stays."""
        going_on = max(0, totals.lanes_busy * now - totals.busy_since)
        busy = (totals.cells[scoreboard.BUSY] + totals.cells[scoreboard.LOOP_BUSY] + going_on) / 1e9
        self._busy[number] = max(busy, self._busy.get(number, 0.0))
        return self._busy[number]

    def _requests(self, number: int, totals: Totals) -> dict[str, int]:
        outcomes = {outcome: totals.cells[cell] for outcome, cell in OUTCOMES.items()}
        ended = sum(totals.cells[BUCKETS : BUCKETS + len(BOUNDS) + 1])
        ok = ended - sum(count for outcome, count in outcomes.items() if outcome != "lost")
        # A lane writes how a request went just before that it ended: between the two writes the difference is short by
        # one request per lane. More than that is no such moment but a pool that began anew.
        seen = self._ok.get(number, 0)
        if ok < seen <= ok + totals.lanes:
            ok = seen
        self._ok[number] = ok
        return {"ok": ok, **outcomes}


def _pids(facts: Facts) -> list[int]:
    return [worker["pid"] for pool in facts["pools"] for worker in pool["workers"] if worker["pid"]]


def by_slot(view: PoolView) -> dict[int, int]:
    """Resident bytes of each slot: of both workers while one succeeds the other."""
    sums: dict[int, int] = {}
    for worker in view.facts["workers"]:
        if usage := view.usage.get(worker["pid"]):
            sums[worker["slot"]] = sums.get(worker["slot"], 0) + usage.resident_bytes
    return sums


def in_phase(view: PoolView, phase: str) -> int:
    """How many of the pool's workers are STARTING, READY or DRAINING."""
    return sum(worker["phase"] == phase for worker in view.facts["workers"])


def addresses(pools: Iterable[PoolView]) -> list[str]:
    return [listener["address"] for pool in pools for listener in pool.facts["listeners"]]
