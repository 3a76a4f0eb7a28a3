"""Canaries by simulation: how many bad deploys are caught, after how many requests, and how many good ones go back.

`python -m tests.bench canary` prints the table of `deploy/reference/canary.md`; `--write` puts it there. Each row is
a thousand deploys of a pool of ten workers with one canary, half of them bad by a known amount. Nothing is served:
durations are drawn from a log-normal distribution with a heavy tail (median 20 ms, sigma 1.2), failures and deaths by
their shares, and every new worker is three times as slow at first, also a good one.
"""

import argparse
import random
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from pathlib import Path
from statistics import median

from forkful.master.policy import canary
from forkful.master.policy.canary import Bounds, Durations, Pair, Side
from forkful.worker.ipc.scoreboard import BOUNDS

PAGE = Path(__file__).parents[2] / "deploy" / "reference" / "canary.md"
MARKERS = ("<!-- simulated -->", "<!-- /simulated -->")
DEPLOYS = 1000
BAKE, WORKERS = 120.0, 10  # seconds; one of the workers is the canary
_MEMORY = 100 * 2**20
_DRAWN = 200_000
_COLD = 30  # requests of a new worker that take three times as long
_BUCKETS = len(BOUNDS) + 1


@dataclass(frozen=True, slots=True)
class Fault:
    """In what a bad new generation differs: shares of all requests, a factor, deaths an hour, bytes."""

    name: str
    errors: float = 0.0
    latency: float = 1.0
    stuck: float = 0.0
    deaths: float = 0.0
    memory: float = 1.0


FAULTS = (
    Fault("2 % more of all requests fail", errors=0.02),
    Fault("5 % more fail", errors=0.05),
    Fault("20 % more fail", errors=0.2),
    Fault("all fail", errors=0.995),
    Fault("requests take 1.25 times as long (within the bound)", latency=1.25),
    Fault("requests take 2 times as long", latency=2.0),
    Fault("requests take 4 times as long", latency=4.0),
    Fault("1 % of requests never end", stuck=0.01),
    Fault("no request ever ends", stuck=1.0),
    Fault("a worker dies every 20 s", deaths=180),
    Fault("a worker has 1.25 times the memory (within the bound)", memory=1.25),
    Fault("a worker has 2 times the memory", memory=2.0),
)
BASE = Fault("", errors=0.005, deaths=0.2)
TRAFFIC = (1_000, 10_000, 100_000)  # requests in a bake, of all workers


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one deploy went: sent back for what, and after how many requests of the canary; `cause` None: it stayed."""

    cause: canary.Cause | None
    requests: int


@dataclass(frozen=True, slots=True)
class Row:
    """What a thousand deploys came to."""

    fault: Fault
    traffic: int
    caught: int
    bad: int
    requests: float  # median of the caught
    false_alarms: int
    good: int


@cache
def _drawn(seed: int) -> tuple[list[float], list[tuple[int, ...]]]:
    """Many durations, as sums from the first on: of seconds, and of each bucket."""
    dice = random.Random(seed)
    durations = [dice.lognormvariate(-3.9, 1.2) for _ in range(_DRAWN)]
    counts = [0] * _BUCKETS
    buckets = [tuple(counts)]
    for duration in durations:
        counts[bisect_left(BOUNDS, duration)] += 1
        buckets.append(tuple(counts))
    return [0.0, *accumulate(durations)], buckets


@dataclass(slots=True)
class Workers:
    """One side of a deploy as it goes on: so many workers, each with its part of the requests."""

    fault: Fault
    dice: random.Random
    number: int
    rate: float  # requests a second
    side: Side
    resident: float
    started: int = 0
    stuck: int = 0
    is_new: bool = False

    def go_on(self, seconds: float, *, is_late: bool) -> None:
        """Serve for that long."""
        begun = _poisson(self.dice, self.rate * seconds)
        stuck = _poisson(self.dice, begun * self.fault.stuck)
        ended = max(0, begun - stuck)
        took, buckets = self._take(ended)
        deaths = _poisson(self.dice, self.fault.deaths / 3600 * seconds * self.number)
        before, late = self.side, self.side.late
        self.side = Side(
            requests=before.requests + ended,
            failed=before.failed + _some(self.dice, ended, self.fault.errors),
            stuck=self.stuck,  # what was stuck a while ago
            seconds=before.seconds + took,
            late=Durations(late.seconds + took, tuple(a + b for a, b in zip(late.buckets, buckets, strict=True)))
            if is_late
            else late,
            deaths=before.deaths + deaths,
            row=before.deaths + deaths if self.is_new and self.fault.deaths > 1 else min(1, before.deaths + deaths),
            served=before.served + seconds * self.number,
            resident=self.resident * self.dice.uniform(0.97, 1.03),
        )
        self.stuck += stuck
        self.started += begun

    def _take(self, count: int) -> tuple[float, list[int]]:
        """The durations of so many requests: their sum, and how many are in each bucket."""
        sums, counts = _drawn(1)
        first = self.dice.randrange(_DRAWN - count)
        last = first + count
        took = sums[last] - sums[first]
        factor = self.fault.latency
        cold = self.is_new and self.started < _COLD
        if factor == 1 and not cold:
            return took, [b - a for a, b in zip(counts[first], counts[last], strict=True)]
        buckets = [0] * _BUCKETS
        took = 0.0
        for n in range(first, last):
            duration = (sums[n + 1] - sums[n]) * factor * (3 if cold and n - first < _COLD else 1)
            took += duration
            buckets[bisect_left(BOUNDS, duration)] += 1
        return took, buckets


def _some(dice: random.Random, count: int, share: float) -> int:
    """How many of so many, each with this chance; of the rarer kind, as events of independent origin."""
    rare = min(count, _poisson(dice, count * min(share, 1 - share)))
    return rare if share < 1 / 2 else count - rare


def _poisson(dice: random.Random, mean: float) -> int:
    """So many events of independent origin."""
    if mean > 50:
        return max(0, round(dice.gauss(mean, mean**0.5)))
    count, left = 0, dice.expovariate(1.0)
    while left < mean:
        count, left = count + 1, left + dice.expovariate(1.0)
    return count


def deploy(fault: Fault, traffic: int, seed: int) -> Verdict:
    """One deploy, from the canary's first request to its end or the bake's."""
    dice, bounds = random.Random(seed), Bounds()
    rate = traffic / BAKE / WORKERS
    none = Side(late=Durations(buckets=(0,) * _BUCKETS))
    size = _MEMORY * dice.uniform(0.9, 1.1)
    old = Workers(BASE, dice, WORKERS - 1, rate * (WORKERS - 1), none, size)
    new = Workers(fault, dice, 1, rate, none, size * fault.memory * dice.uniform(0.9, 1.1), is_new=True)
    big, before = 0, 0.0
    for part in canary.LOOKS:
        for side in (old, new):
            side.go_on((part - before) * BAKE, is_late=before >= canary.LATE)
        before = part
        big = big + 1 if canary.is_bigger(Pair(old.side, new.side), bounds) else 0
        worse = canary.judge({"main": Pair(old.side, new.side, big)}, bounds, BOUNDS, part)
        if worse is not None:
            return Verdict(worse.cause, new.side.requests)
    return Verdict(None, new.side.requests)


def simulate(fault: Fault, traffic: int, deploys: int = DEPLOYS) -> Row:
    """So many deploys, half of them bad by this fault."""
    bad = replace(
        fault,
        errors=fault.errors + BASE.errors,
        deaths=fault.deaths + BASE.deaths,
    )
    half = deploys // 2
    seeds = random.Random(f"{fault.name} {traffic}")  # others in each row
    was_bad = [deploy(bad, traffic, seeds.getrandbits(64)) for _ in range(half)]
    was_good = [deploy(BASE, traffic, seeds.getrandbits(64)) for _ in range(half)]
    caught = [verdict.requests for verdict in was_bad if verdict.cause is not None]
    alarms = sum(verdict.cause is not None for verdict in was_good)
    return Row(fault, traffic, len(caught), half, median(caught) if caught else 0, alarms, half)


def lines(rows: list[Row]) -> Iterator[str]:
    """As Markdown."""
    yield MARKERS[0]
    yield f"`python -m tests.bench canary` on {time.strftime('%Y-%m-%d')}: {DEPLOYS:,} deploys a row, half of them bad."
    yield "Ten workers, one canary, two minutes, the bounds of the settings' defaults; 0.5 % of requests fail anyway."
    yield ""
    yield "| what is bad | requests, all workers | caught | after requests of the canary (median) | false alarms |"
    yield "|---|---|---|---|---|"
    for row in rows:
        after = f"{row.requests:,.0f}" if row.caught else ""
        yield (
            f"| {row.fault.name} | {row.traffic:,} | {row.caught / row.bad:.1%} | {after} "
            f"| {row.false_alarms} of {row.good} |"
        )
    yield ""
    good, alarms = sum(row.good for row in rows), sum(row.false_alarms for row in rows)
    yield f"Of all {good:,} good deploys {alarms} were rolled back, {alarms / good:.2%}."
    yield MARKERS[1]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench canary", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into deploy/reference/canary.md")
    parser.add_argument("--deploys", type=int, default=DEPLOYS)
    asked = parser.parse_args(arguments)
    rows = []
    for fault in FAULTS:
        for traffic in TRAFFIC:
            rows.append(simulate(fault, traffic, asked.deploys))
            print(fault.name, traffic, rows[-1].caught, rows[-1].false_alarms, file=sys.stderr, flush=True)
    table = "\n".join(lines(rows))
    print(table)
    if asked.write:
        page = PAGE.read_text()
        before, _, rest = page.partition(MARKERS[0])
        PAGE.write_text(before + table + rest.partition(MARKERS[1])[2])
    return 0
