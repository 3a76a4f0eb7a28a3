"""The history: what each pool did in the last fifteen minutes, for charts, in bounded memory.

A `Sample` holds counters as they stood; a `Point` is what happened between two of them. There are at most `SAMPLES`
samples of at most `MAX_POOLS` pools (200 KB each), and `MAX_MARKS` marks with at most `MAX_TEXT` characters of text.
Can go wrong: a counter is lower than before, because a pool of that name began anew: its samples begin anew too.
"""

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple, TypedDict

from forkful.conf.light import dataclass
from forkful.master.admin import derived
from forkful.master.admin.status import PoolStatus, Status
from forkful.worker.ipc.scoreboard import BOUNDS

PERIOD: Final = 5.0  # seconds between two samples
SPAN: Final = 900.0  # seconds that are kept
SAMPLES: Final = int(SPAN / PERIOD) + 1
MAX_POOLS: Final = 64
MAX_MARKS: Final = 50
MAX_TEXT: Final = 4000
DEATHS: Final = ("timeout", "oom", "signal", "crash", "boot_failed")


class Sample(NamedTuple):
    """One pool at one moment. `at` is in unix seconds; what counts is counted since the start of the service."""

    at: float
    ok: int
    failed: int
    other: int  # reset by the client, or refused
    busy: float  # lane seconds
    lanes: int
    queue: int
    limit: int  # connections that may wait; 0: not known
    memory: int  # bytes
    buckets: tuple[int, ...]


class Point(NamedTuple):
    """One pool in the time before `at`. Rates are per second, percentiles seconds; None: nothing ended in that time."""

    at: float
    ok: float
    failed: float
    other: float
    saturation: float  # 0 to 1
    queue: int
    limit: int
    memory: int
    percentiles: tuple[float | None, ...]  # as `QUANTILES`


QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at one moment, for the time axis. `kind` is "generation", "reload" or "death"."""

    at: float
    kind: str
    text: str
    traceback: str = ""


class Lines(TypedDict):
    """One pool's points, a list for each figure, oldest first."""

    at: list[float]
    ok: list[float]
    failed: list[float]
    saturation: list[float]
    queue: list[int]
    memory: list[int]
    p50: list[float | None]
    p95: list[float | None]
    p99: list[float | None]


class History:
    """Samples by pool, and marks. Any thread may add and read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: dict[str, deque[Sample]] = {}
        self._marks: deque[Mark] = deque(maxlen=MAX_MARKS)
        self._last: Status | None = None

    def observe(self, now: Status) -> None:
        """Add a sample of each pool, and a mark for each thing that happened since the last document."""
        with self._lock:
            self._marks.extend(marks(self._last, now))
            self._last = now
            known = {pool["name"]: pool for pool in now["pools"][:MAX_POOLS]}
            for name in self._samples.keys() - known.keys():
                del self._samples[name]
            for name, pool in known.items():
                row = self._samples.setdefault(name, deque(maxlen=SAMPLES))
                sample = sample_of(pool, now["at"])
                if row and (row[-1].ok > sample.ok or row[-1].failed > sample.failed):
                    row.clear()
                row.append(sample)

    def repeat(self, at: float) -> None:
        """Nothing has changed until now: the last samples hold for this moment too."""
        with self._lock:
            for row in self._samples.values():
                row.append(row[-1]._replace(at=at))

    def points(self, pool: str) -> list[Point]:
        with self._lock:
            return points(self._samples.get(pool, ()))

    def marks(self, since: float) -> list[Mark]:
        with self._lock:
            return [mark for mark in self._marks if mark.at >= since]

    def document(self) -> dict[str, object]:
        """All of it, for /history.json."""
        with self._lock:
            pools = {name: _lines(points(row)) for name, row in self._samples.items()}
            said = [{"at": m.at, "kind": m.kind, "text": m.text, "traceback": m.traceback} for m in self._marks]
        return {"period": PERIOD, "pools": pools, "marks": said}


def sample_of(pool: PoolStatus, at: float) -> Sample:
    listeners = pool["listeners"]
    ok, failed = pool["requests"].get("ok", 0), derived.failed(pool)
    return Sample(
        at=at,
        ok=ok,
        failed=failed,
        other=derived.ended(pool) - ok - failed,
        busy=pool["busy_seconds"],
        lanes=pool["lanes"],
        queue=derived.waiting(pool),
        limit=sum(each["limit"] or 0 for each in listeners),
        memory=sum(worker["resident_bytes"] for worker in pool["workers"]),
        buckets=tuple(pool["buckets"]),
    )


def points(samples: Iterable[Sample]) -> list[Point]:
    """What happened between each two samples."""
    return [_point(before, after) for before, after in pairwise(samples) if after.at > before.at]


def _point(before: Sample, after: Sample) -> Point:
    seconds = after.at - before.at
    ended = [max(0, new - old) for old, new in zip(before.buckets, after.buckets, strict=True)]
    room = seconds * max(1, after.lanes)
    return Point(
        at=after.at,
        ok=max(0, after.ok - before.ok) / seconds,
        failed=max(0, after.failed - before.failed) / seconds,
        other=max(0, after.other - before.other) / seconds,
        saturation=min(1.0, max(0.0, after.busy - before.busy) / room),
        queue=after.queue,
        limit=after.limit,
        memory=after.memory,
        percentiles=tuple(quantile(q, ended) for q in QUANTILES),
    )


def quantile(q: float, counts: Sequence[int]) -> float | None:
    """Estimate a quantile in seconds from counts per bucket, as Prometheus' `histogram_quantile` does; None: no counts.

    What lies above the last bound is told as that bound.
    """
    total = sum(counts)
    if not total:
        return None
    rank, below = q * total, 0
    sums = [below := below + count for count in counts]
    place = min(bisect_left(sums, rank), len(counts) - 1)
    if place >= len(BOUNDS):
        return BOUNDS[-1]
    low = BOUNDS[place - 1] if place else 0.0
    inside = (rank - (sums[place] - counts[place])) / counts[place] if counts[place] else 1.0
    return low + (BOUNDS[place] - low) * inside


def marks(before: Status | None, now: Status) -> Iterator[Mark]:
    """What happened between two documents of one service."""
    at, reload = now["at"], now["reload"]
    if before is None:
        return
    if reload["finished_at"] != before["reload"]["finished_at"] and not reload["successful"]:
        text = reload["message"][:MAX_TEXT]
        yield Mark(reload["finished_at"], "reload", f"reload failed: {text}", reload["traceback"][-MAX_TEXT:])
    if now["generation"] != before["generation"]:
        yield Mark(reload["success_at"] or at, "generation", f"generation {now['generation']} serves")
    exits = {pool["name"]: pool["exits"] for pool in before["pools"]}
    for pool in now["pools"]:
        for reason in DEATHS:
            count = pool["exits"].get(reason, 0) - exits.get(pool["name"], {}).get(reason, 0)
            if count > 0:
                many = f"{count} workers" if count > 1 else "a worker"
                yield Mark(at, "death", f"{pool['name']}: {many} ended ({reason})")


def _lines(row: Sequence[Point]) -> Lines:
    p50, p95, p99 = zip(*(point.percentiles for point in row), strict=True) if row else ((), (), ())
    return {
        "at": [round(point.at, 3) for point in row],
        "ok": [round(point.ok, 3) for point in row],
        "failed": [round(point.failed, 3) for point in row],
        "saturation": [round(point.saturation, 4) for point in row],
        "queue": [point.queue for point in row],
        "memory": [point.memory for point in row],
        "p50": list(p50),
        "p95": list(p95),
        "p99": list(p99),
    }
