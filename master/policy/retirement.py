"""Retirement: workers that have reached their limit of age or memory leave, one at a time.

Pure. A worker's age limit is spread by its token, so that a pool started at once does not retire at once. Memory must
be above its limit in several samples in a row, because a peak is not a leak.
"""

import math
from collections.abc import Iterable

from forkful.conf.light import dataclass
from forkful.master.model.fleet import Reason

SAMPLES = 3  # in a row beyond max_rss
SPREAD = 0.1  # of max_worker_age, either way
EVERY = 1.0  # second between samples of memory, where a pool has a limit: 20 us for each worker


@dataclass(frozen=True, slots=True)
class Worn:
    """One ready worker. `rss` in bytes, None where it was not sampled now; `beyond` counts samples in a row."""

    token: int
    ready_at: float
    max_age: float = 0.0
    max_rss: int = 0
    rss: int | None = None
    beyond: int = 0


def judge(workers: Iterable[Worn], now: float) -> tuple[dict[int, Reason], dict[int, int], float]:
    """Return who is used up and why, the new counts of samples beyond, and when an age limit is reached next."""
    used: dict[int, Reason] = {}
    beyond: dict[int, int] = {}
    wake_at = math.inf
    for worn in workers:
        if worn.max_age:
            end = worn.ready_at + worn.max_age * (1 + SPREAD * _dice(worn.token))
            if end <= now:
                used[worn.token] = Reason.MAX_AGE
            else:
                wake_at = min(wake_at, end)
        if worn.max_rss:
            count = worn.beyond if worn.rss is None else worn.beyond + 1 if worn.rss > worn.max_rss else 0
            beyond[worn.token] = count
            if count >= SAMPLES:
                used[worn.token] = Reason.MAX_RSS
    return used, beyond, wake_at


def _dice(token: int) -> float:
    """A number in [-1, 1) that is the same for the same worker: multiplicative hashing (Knuth, 6.4)."""
    return (token * 2654435769 % 2**32) / 2**31 - 1
