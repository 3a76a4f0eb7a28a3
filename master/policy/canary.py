"""The canary: whether the new generation serves worse than the old one beside it, from counts and the time alone.

All counts are of the same time, since the canaries took their seats. Each pool is compared at `LOOKS`, which are dense
at first, so that what fails at once is gone at once, and when somebody has died. So that all looks together raise a
false alarm in at most `RISK` of the good deploys, each test has only its part of that (Bonferroni). What would be a
matter of taste is a bound of the settings.

- errors: Fisher's exact test, one-sided; and the share is above the old one's by more than `canary_errors`.
- stuck requests, which have neither failed nor ended: Fisher's exact test of those against the ended.
- latency: the mean duration is above the old one's by more than `canary_latency`; and so it is by Welch's test,
  one-sided, of the logarithms of all durations, or of the durations themselves. The first sees that requests in general
  take longer, the second a long tail. Sums are exact; the rest is from the histogram's buckets, and rather too wide.
- deaths: the exact conditional test of two rates (binomial), by the time that workers have served; or a crash loop
  (`LOOP` deaths in a row in one slot, as the throttle counts them) where the old ones are in none.
- memory: the mean resident size of a worker, in `MEMORY_LOOKS` looks in a row. No test: it is measured, not drawn.

A new process is slow and small at first, so latency, stuck requests and memory are judged in the second half only, and
latency from the requests of that half alone.
Can go wrong: too few requests to tell: said in `thin`, and no reason to go back. A service without traffic must be able
to deploy, too.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from enum import Enum
from itertools import pairwise

from forkful.conf.light import dataclass

#: When to look, as parts of the bake.
LOOKS = (*(0.1 * 0.6**n for n in range(10, 0, -1)), *(tenth / 10 for tenth in range(1, 11)))
RISK = 0.01
LOOP = 3  # deaths in a row
MEMORY_LOOKS = 3
MEMORY_LEAST = 16 * 1024 * 1024  # bytes more than the old ones that are no matter, whatever their share
_TESTS = 5
LATE = 0.5  # of the bake: what a new process is like when it is warm
_NOTHING = -700.0  # the logarithm of what is no more than 0
_Step = Callable[[int], float]


class Cause(Enum):
    """What is worse."""

    DEATHS = "deaths"
    ERRORS = "errors"
    STUCK = "stuck"
    LATENCY = "latency"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is worse beyond doubt and beyond taste. Shares: 0.01 is one in a hundred."""

    requests: int = 50
    errors: float = 0.01
    latency: float = 0.5
    memory: float = 0.5


@dataclass(frozen=True, slots=True)
class Durations:
    """How long requests took: in all, and how many up to each of the scoreboard's bounds and above the last."""

    seconds: float = 0.0
    buckets: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        return sum(self.buckets)

    @property
    def mean(self) -> float:
        return self.seconds / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Side:
    """What the workers of one generation have done in one pool during the bake.

    `late` are the durations of its second half; `stuck` are requests that go on, and did so some looks ago. `served` is
    the time of all workers together, `resident` bytes of one.
    """

    requests: int = 0
    failed: int = 0
    stuck: int = 0
    seconds: float = 0.0
    late: Durations = field(default_factory=Durations)
    deaths: int = 0
    row: int = 0  # deaths in a row in its worst slot
    served: float = 0.0
    resident: float = 0.0

    @property
    def share(self) -> float:
        """Of requests that failed."""
        return self.failed / self.requests if self.requests else 0.0

    @property
    def mean(self) -> float:
        """Seconds that a request took."""
        return self.seconds / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A pool's two sides. `big`: looks in a row, this one included, in which the new workers were too big."""

    old: Side = field(default_factory=Side)
    new: Side = field(default_factory=Side)
    big: int = 0


@dataclass(frozen=True, slots=True)
class Worse:
    """Why the new generation has to go."""

    pool: str
    cause: Cause
    text: str

    def __str__(self) -> str:
        return f"pool {self.pool}: {self.text}"


def judge(pools: Mapping[str, Pair], bounds: Bounds, edges: tuple[float, ...], progress: float) -> Worse | None:
    """What is worse now, if anything. `edges` bound the buckets, seconds; `progress` is the part of the bake so far."""
    risk = RISK / (len(LOOKS) * _TESTS * max(1, len(pools)))
    for name, pair in pools.items():
        tests = [_deaths, _errors, *((_stuck, _latency, _memory) if progress >= LATE else ())]
        for test in tests:
            if (found := test(pair, bounds, edges, risk)) is not None:
                return Worse(name, *found)
    return None


def next_look(progress: float) -> float:
    """The part of the bake at which to look again; the last look is at its end."""
    return next((look for look in LOOKS if look > progress), 1.0)


def thin(pools: Mapping[str, Pair], bounds: Bounds) -> Iterator[str]:
    """What could not be told for lack of requests, in words by pool."""
    for name, pair in pools.items():
        late = (pair.new.late.count, pair.old.late.count)
        for what, (new, old) in {"": (pair.new.requests, pair.old.requests), "in its second half ": late}.items():
            if min(new, old) < bounds.requests:
                yield (
                    f"pool {name} had too few requests {what}to compare ({new} new, {old} old; "
                    f"canary_requests is {bounds.requests})"
                )
                break


def seats(canary: str, target: int) -> int:
    """How many canaries a pool of so many workers gets: never all, unless there is only one."""
    wanted = math.ceil(target * int(canary[:-1]) / 100) if canary.endswith("%") else int(canary)
    return min(wanted, max(1, target - 1), target)


def is_bigger(pair: Pair, bounds: Bounds) -> bool:
    """Whether the new workers are too big at this moment."""
    least = max(pair.old.resident * (1 + bounds.memory), pair.old.resident + MEMORY_LEAST)
    return pair.old.resident > 0 and pair.new.resident > least


def looped(rows: Mapping[str, int]) -> set[str]:
    """The pools that are in a crash loop, from the deaths in a row in each one's worst slot."""
    return {name for name, row in rows.items() if row >= LOOP}


# -- what is worse -------------------------------------------------------------------------------------------------

_Found = tuple[Cause, str] | None


def _deaths(pair: Pair, _bounds: Bounds, _edges: tuple[float, ...], risk: float) -> _Found:
    old, new = pair.old, pair.new
    text = f"{new.deaths} deaths of new workers, {old.deaths} of old ones"
    if new.row >= LOOP > old.row:
        return Cause.DEATHS, f"{text}: {new.row} in a row in one slot"
    time = old.served + new.served
    if time and rates_differ(new.deaths, old.deaths, new.served / time) < risk:
        return Cause.DEATHS, text
    return None


def _errors(pair: Pair, bounds: Bounds, _edges: tuple[float, ...], risk: float) -> _Found:
    old, new = pair.old, pair.new
    if not _enough(pair, bounds) or new.share - old.share <= bounds.errors:
        return None
    if fisher(new.failed, new.requests, old.failed, old.requests) >= risk:
        return None
    text = f"{new.share:.1%} of {new.requests} requests failed, of the old workers' {old.requests} {old.share:.1%}"
    return Cause.ERRORS, text


def _stuck(pair: Pair, _bounds: Bounds, _edges: tuple[float, ...], risk: float) -> _Found:
    old, new = pair.old, pair.new
    if not new.stuck or fisher(new.stuck, new.stuck + new.requests, old.stuck, old.stuck + old.requests) >= risk:
        return None
    return Cause.STUCK, (
        f"{new.stuck} requests are stuck and {new.requests} ended, of the old workers {old.stuck} and {old.requests}"
    )


def _latency(pair: Pair, bounds: Bounds, edges: tuple[float, ...], risk: float) -> _Found:
    old, new = pair.old.late, pair.new.late
    factor = 1 + bounds.latency
    if min(old.count, new.count) < max(1, bounds.requests) or new.mean <= factor * old.mean:
        return None
    if min(welch(new, old, factor, edges), welch_of_logarithms(new, old, factor, edges)) >= risk:
        return None
    return Cause.LATENCY, f"a request takes {_ms(new.mean)} on average, in the old workers {_ms(old.mean)}"


def _memory(pair: Pair, bounds: Bounds, _edges: tuple[float, ...], _risk: float) -> _Found:
    if pair.big < MEMORY_LOOKS or not is_bigger(pair, bounds):
        return None
    old, new = pair.old.resident / 2**20, pair.new.resident / 2**20
    return Cause.MEMORY, f"a new worker has {new:.0f} MiB, an old one {old:.0f} MiB"


def _enough(pair: Pair, bounds: Bounds) -> bool:
    return min(pair.old.requests, pair.new.requests) >= max(1, bounds.requests)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


# -- the tests -----------------------------------------------------------------------------------------------------


def fisher(new_bad: int, new_all: int, old_bad: int, old_all: int) -> float:
    """Fisher's exact test: how likely so many bad ones, or more, are in the first group if both are alike."""
    bad, everything = new_bad + old_bad, new_all + old_all
    most = min(bad, new_all)
    if not bad or new_bad * everything <= bad * new_all:
        return 1.0  # no more than its part
    first = _chosen(bad, new_bad) + _chosen(everything - bad, new_all - new_bad) - _chosen(everything, new_all)

    def step(k: int) -> float:
        return (bad - k) * (new_all - k) / ((k + 1) * (everything - bad - new_all + k + 1))

    return _tail(first, range(new_bad, most), step)


def rates_differ(new_deaths: int, old_deaths: int, part: float) -> float:
    """How likely so many of all deaths, or more, are the new ones', who served for this `part` of the time."""
    total = new_deaths + old_deaths
    if not 0 < part < 1 or new_deaths <= total * part:
        return 1.0
    first = _chosen(total, new_deaths) + new_deaths * math.log(part) + old_deaths * math.log1p(-part)
    return _tail(first, range(new_deaths, total), lambda k: (total - k) / (k + 1) * part / (1 - part))


def welch(new: Durations, old: Durations, factor: float, edges: tuple[float, ...]) -> float:
    """Welch's test: how likely such means are if the new one is at most `factor` times the old one."""
    error = _variance(new, edges) / new.count + factor**2 * _variance(old, edges) / old.count
    return above(new.mean - factor * old.mean, error)


def welch_of_logarithms(new: Durations, old: Durations, factor: float, edges: tuple[float, ...]) -> float:
    """The same of the durations' logarithms: whether most of them are more than `factor` times as long."""
    (new_mean, new_error), (old_mean, old_error) = (_logarithms(each, edges) for each in (new, old))
    return above(new_mean - old_mean - math.log(factor), new_error + old_error)


def above(difference: float, variance: float) -> float:
    """How likely such a difference, or a greater one, is by chance alone: the normal distribution's tail."""
    if difference <= 0:
        return 1.0
    return math.erfc(difference / math.sqrt(2 * variance)) / 2 if variance > 0 else 0.0


def _logarithms(durations: Durations, edges: tuple[float, ...]) -> tuple[float, float]:
    """Their mean and its variance, as if durations were spread evenly in each bucket."""
    ends = [math.log(edge) for edge in (edges[0] / 2, *edges, 2 * edges[-1])]
    middles = [((a + b) / 2, (b - a) ** 2 / 12) for a, b in pairwise(ends)]
    counted = [(count, *middle) for count, middle in zip(durations.buckets, middles, strict=True)]
    mean = sum(count * middle for count, middle, _ in counted) / durations.count
    spread = sum(count * ((middle - mean) ** 2 + width) for count, middle, width in counted)
    return mean, spread / durations.count**2


def _variance(durations: Durations, edges: tuple[float, ...]) -> float:
    """At most so much: each duration counts as the upper bound of its bucket. Above the last bound, as what is left."""
    *buckets, beyond = durations.buckets
    known = sum(count * edge**2 for count, edge in zip(buckets, edges, strict=True))
    if beyond:
        known += beyond * max(2 * edges[-1], durations.seconds / beyond) ** 2
    return max(0.0, known / durations.count - durations.mean**2)


def _tail(first: float, ks: Iterable[int], step: _Step) -> float:
    """A tail's sum from the logarithm of its first term and the ratio of each next one. It falls, so it soon ends."""
    if first < _NOTHING:
        return 0.0
    term = total = math.exp(first)
    for k in ks:
        term *= step(k)
        total += term
        if term < total * 1e-12:
            break
    return min(1.0, total)


def _chosen(n: int, k: int) -> float:
    """The logarithm of n over k."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
