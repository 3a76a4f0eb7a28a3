"""The bake: what old and new workers do in the time that the canaries have, counted for `policy.canary` to judge.

Each worker counts from the moment when all canaries had their seats; whoever was leaving then does not count at all.
What a worker did that is gone by now, however it went, stays counted for its generation.
Can go wrong: a worker's rows say what cannot be: its counts are bounded, so that nobody's test takes for ever.
"""

import math
from collections import defaultdict
from dataclasses import field, replace

from forkful.conf.light import dataclass
from forkful.conf.plan import MasterPlan
from forkful.master.model.events import BakeStarted
from forkful.master.model.fleet import Failure, Phase, Worker
from forkful.master.policy import canary
from forkful.master.policy.canary import Bounds, Durations, Pair, Side
from forkful.master.policy.throttle import is_young
from forkful.master.policy.transaction import Event, Stage
from forkful.master.supervisor import sampling
from forkful.master.supervisor.state import State
from forkful.master.supervisor.transaction import Transaction
from forkful.worker.ipc.scoreboard import BOUNDS, BUCKETS, BUSY, ERROR, OVERLAPPED, STARTED, TIMEOUT

_LEAST = 0.05  # seconds between looks
_WHOLE = 1 - 1e-9  # of the bake: the last look may come a rounding too early
_LAG = 1.0  # seconds that a request goes on at least before it is stuck
_MOST = 1e6  # requests in a second, of one worker: more cannot be

_Key = tuple[str, int]  # a pool, a generation


@dataclass(frozen=True, slots=True)
class Counts:
    """What a worker, or several, have counted."""

    started: int = 0
    failed: int = 0
    busy: int = 0  # ns
    buckets: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)

    def since(self, before: "Counts", most: float) -> "Counts":
        """What came since then, as far as it may be."""
        buckets = tuple(_bounded(a - b, most) for a, b in zip(self.buckets, before.buckets, strict=True))
        return Counts(
            _bounded(self.started - before.started, most),
            min(_bounded(self.failed - before.failed, most), sum(buckets)),
            _bounded(self.busy - before.busy, most * 1e9),
            buckets,
        )

    def plus(self, other: "Counts") -> "Counts":
        buckets = tuple(a + b for a, b in zip(self.buckets, other.buckets, strict=True))
        return Counts(self.started + other.started, self.failed + other.failed, self.busy + other.busy, buckets)


def _bounded(count: int, most: float) -> int:
    return max(0, count) if count <= most else int(most)


@dataclass(slots=True)
class Bake:
    """One bake. Times are monotonic seconds; by pool and generation what those have done who are gone."""

    began: float
    ends: float
    bounds: Bounds
    newest: int  # token: who was cast after it counts from his birth
    look_at: float = 0.0
    marks: dict[int, Counts] = field(default_factory=dict)  # by token
    departed: dict[_Key, Counts] = field(default_factory=lambda: defaultdict(Counts))
    served: dict[_Key, float] = field(default_factory=lambda: defaultdict(float))  # seconds, of these
    lost: dict[_Key, int] = field(default_factory=lambda: defaultdict(int))
    deaths: dict[_Key, int] = field(default_factory=lambda: defaultdict(int))
    rows: dict[tuple[str, int, int], int] = field(default_factory=dict)  # young deaths in a row, by slot as well
    started: dict[_Key, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))  # at earlier looks
    half: dict[_Key, Counts] = field(default_factory=dict)  # what was counted when the second half began
    big: dict[str, int] = field(default_factory=dict)  # looks in a row, by pool
    pairs: dict[str, Pair] = field(default_factory=dict)  # as they were at the last look

    def progress(self, now: float) -> float:
        """The part of it that is over."""
        length = self.ends - self.began
        return (now - self.began) / length if length > 0 else 1.0

    def mark(self, worker: Worker) -> Counts | None:
        """From where a worker counts; None: it does not."""
        return Counts() if worker.token > self.newest else self.marks.get(worker.token)

    def looked(self, pairs: dict[str, Pair], now: float) -> None:
        """These are the counts now."""
        part = canary.next_look(self.progress(now + _LEAST))
        self.pairs, self.look_at = pairs, self.began + part * (self.ends - self.began)

    def died(self, worker: Worker, now: float) -> None:
        """Nobody had told it to leave. Look at once."""
        slot = (worker.pool, worker.generation, worker.slot)
        self.rows[slot] = self.rows.get(slot, 0) + 1 if is_young(worker.ready_at, now) else 1
        self.deaths[worker.pool, worker.generation] += 1
        self.look_at = now


def bounds_of(plan: MasterPlan) -> Bounds:
    """As the settings say them."""
    shares = (float(text[:-1]) / 100 for text in (plan.canary_errors, plan.canary_latency, plan.canary_memory))
    return Bounds(plan.canary_requests, *shares)


def is_wanted(state: State, transaction: Transaction) -> bool:
    """Whether there is something to compare canaries with."""
    return bool(transaction.canary) and state.current is not None and not state.current.plan.stand_in


def begin(state: State, transaction: Transaction, now: float) -> None:
    """All canaries have their seats: count from now on."""
    assert transaction.candidate is not None
    assert state.current is not None
    new, plan = transaction.candidate, transaction.candidate.plan.master
    bake = Bake(now, now + plan.bake_time, bounds_of(plan), state.workers.tokens)
    for worker in state.workers.fleet.values():
        if worker.phase is not Phase.DRAINING:
            bake.marks[worker.token] = _read(state, worker)
    transaction.bakes(bake)
    bake.looked(_pairs(state, bake, now), now)
    ready = sum(worker.generation == new.number for worker in state.workers.fleet.values())
    state.journal.report(BakeStarted(new.number, state.current.number, ready, plan.bake_time))
    state.manager.notifier.send(READY=1)  # it serves, and nobody's reload shall time out over this


def next_look(transaction: Transaction) -> float:
    """When the canaries are looked at again."""
    return transaction.bake.look_at if transaction.bake is not None and transaction.stage is Stage.BAKING else math.inf


def event(state: State, transaction: Transaction, now: float) -> Event | None:
    """What the canaries have come to, where it is time to look."""
    bake = transaction.bake
    if bake is None or bake.look_at > now:
        return None
    pairs = _pairs(state, bake, now)
    bake.looked(pairs, now)
    if (worse := canary.judge(pairs, bake.bounds, BOUNDS, bake.progress(now))) is not None:
        transaction.fail(Failure("canary", str(worse)))
        return Event.FAILED
    return Event.PASSED if bake.progress(now) >= _WHOLE else None


def outcome(transaction: Transaction) -> str:
    """In words, what was compared in a bake that nothing was wrong with."""
    bake = transaction.bake
    if bake is None:
        return ""
    if not bake.pairs:
        return "at the end of its bake no pool had workers of both generations to compare"
    served = sum(pair.new.requests for pair in bake.pairs.values())
    return "; ".join([f"its canaries ended {served} requests", *canary.thin(bake.pairs, bake.bounds)])


def ends(state: State, worker: Worker, now: float) -> None:
    """Its rows are about to be folded: keep what it has done."""
    bake = _of(state)
    if bake is None or (mark := bake.mark(worker)) is None:
        return
    key = (worker.pool, worker.generation)
    counts = _read(state, worker).since(mark, _most(bake, now))
    bake.departed[key] = bake.departed[key].plus(counts)
    bake.served[key] += _served(bake, worker, now)


def died(state: State, worker: Worker, lost: int, now: float) -> None:
    """It was not told to leave, and took requests along."""
    if (bake := _of(state)) is not None and bake.mark(worker) is not None:
        bake.lost[worker.pool, worker.generation] += min(lost, int(_MOST))
        bake.died(worker, now)


def _of(state: State) -> Bake | None:
    return state.transaction.bake if state.transaction is not None else None


# -- counting ------------------------------------------------------------------------------------------------------


def _pairs(state: State, bake: Bake, now: float) -> dict[str, Pair]:
    """Both sides of every pool that has both."""
    old, new = state.current, state.candidate
    assert old is not None
    assert new is not None
    pairs = {}
    for pool in new.plan.pools:
        if old.pool(pool.name) is not None and state.target(pool):
            before, after = (_side(state, bake, (pool.name, each.number), now) for each in (old, new))
            pair = Pair(before, after)
            bake.big[pool.name] = bake.big.get(pool.name, 0) + 1 if canary.is_bigger(pair, bake.bounds) else 0
            pairs[pool.name] = replace(pair, big=bake.big[pool.name])
    return pairs


def _side(state: State, bake: Bake, key: _Key, now: float) -> Side:
    counts, served, going = bake.departed[key], bake.served[key], 0
    sizes = []
    for worker in state.workers.fleet.values():
        if (worker.pool, worker.generation) != key or (mark := bake.mark(worker)) is None:
            continue
        read = _read(state, worker)
        going += _bounded(read.started - sum(read.buckets), _MOST)
        counts = counts.plus(read.since(mark, _most(bake, now)))
        served += _served(bake, worker, now)
        if worker.phase is Phase.READY and (size := sampling.resident(worker.pid)):
            sizes.append(size)
    lost = bake.lost[key]
    ended = sum(counts.buckets)
    return Side(
        requests=ended + lost,
        failed=min(ended, counts.failed) + lost,
        stuck=_stuck(bake, key, going, counts.started, now),
        seconds=counts.busy / 1e9,
        late=_late(bake, key, counts, now),
        deaths=bake.deaths[key],
        row=max((row for (*of, _), row in bake.rows.items() if tuple(of) == key), default=0),
        served=served,
        resident=sum(sizes) / len(sizes) if sizes else 0.0,
    )


def _late(bake: Bake, key: _Key, counts: Counts, now: float) -> Durations:
    """Of the second half, which begins with the first look in it."""
    if bake.progress(now) < canary.LATE:
        return Durations()
    late = counts.since(bake.half.setdefault(key, counts), math.inf)
    return Durations(late.busy / 1e9, late.buckets)


def _stuck(bake: Bake, key: _Key, going: int, started: int, now: float) -> int:
    """Of the requests that go on, those that cannot have begun since an earlier look."""
    past = bake.started[key]
    past.append((now, started))
    lag = max(_LAG, (bake.ends - bake.began) / 4)
    before = max((count for at, count in past if at <= now - lag), default=None)
    return 0 if before is None else max(0, going - (started - before))


def _read(state: State, worker: Worker) -> Counts:
    cells = state.board.worker(worker.row, worker.lanes).cells
    buckets = tuple(cells[BUCKETS : BUCKETS + len(BOUNDS) + 1])
    return Counts(cells[STARTED], cells[ERROR] + cells[TIMEOUT], cells[BUSY] + cells[OVERLAPPED], buckets)


def _most(bake: Bake, now: float) -> float:
    return _MOST * (1 + now - bake.began)


def _served(bake: Bake, worker: Worker, now: float) -> float:
    """Seconds that it was ready, within the bake."""
    return max(0.0, now - max(bake.began, worker.ready_at)) if math.isfinite(worker.ready_at) else 0.0
