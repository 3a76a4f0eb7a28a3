"""How the master decides: facts and `now` in, actions and the next wake-up time out.

Nothing here forks, kills, sleeps or reads the clock; `supervisor.actions` carries out what this module says.

For each pool, every slot below the target shall have a READY worker of the pool's goal generation. A slot whose
worker is stale (another generation, or used up) gets a successor first and loses the stale one once the successor is
ready; at most `surge` at a time, and of those that are worn out only one, until it is gone. While a generation is
tried out a pool gets one worker of it, the canary, and nobody leaves: not before every pool's canary is ready.
Slots wait where their workers have died early, but requests that kill workers do not leave a pool without any.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field  # of each worker some are made in each decision

from forkful.master.model.fleet import Patience, Phase, Reason, Worker

#: Reasons that the workers of a pool tend to have all at the same time.
WORN = frozenset({Reason.MAX_REQUESTS, Reason.MAX_AGE, Reason.MAX_RSS})


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """What the operator wants of one pool now.

    While the goal generation is `trying`, `fallback` fills the gaps.
    """

    name: str
    target: int
    goal: int
    trying: bool = False
    fallback: int | None = None
    surge: int = 1
    canaries: int | None = None  # only so many slots, the first ones, are for the goal; all others for the fallback
    beside: bool = False  # and the old workers in these stay, too
    why_fewer: Reason = Reason.SCALE_DOWN  # the reason of those who leave because the target is lower
    not_before: Mapping[int, float] = field(default_factory=dict)  # throttled slots, monotonic seconds
    served: frozenset[int] = frozenset()  # those of them whose last worker died in the middle of a request

    def goal_of(self, slot: int) -> int:
        """The generation that this slot is for."""
        mine = self.canaries is None or self.fallback is None or slot < self.canaries
        return self.goal if mine else self.fallback or self.goal


@dataclass(frozen=True, slots=True)
class Cast:
    pool: str
    slot: int
    generation: int


@dataclass(frozen=True, slots=True)
class Drain:
    worker: Worker
    reason: Reason


@dataclass(frozen=True, slots=True)
class Abort:
    """Dump stacks and die; then, if that does not help, `Kill`."""

    worker: Worker


@dataclass(frozen=True, slots=True)
class Kill:
    worker: Worker


Action = Cast | Drain | Abort | Kill


def decide(pools: Iterable[PoolFacts], fleet: Iterable[Worker], now: float) -> tuple[list[Action], float]:
    """Return what to do now and when to ask again (`math.inf`: not before something happens)."""
    by_pool: dict[str, list[Worker]] = defaultdict(list)
    for worker in fleet:
        by_pool[worker.pool].append(worker)

    actions: list[Action] = []
    wake_at = math.inf
    for pool in pools:
        workers = by_pool.pop(pool.name, [])
        drains = [*_surplus(pool, workers), *_successions(pool, workers)]
        actions += drains
        wanted = list(_casts(pool, workers, drains))
        throttled = [cast for cast in wanted if pool.not_before.get(cast.slot, now) > now]
        casts = [cast for cast in wanted if pool.not_before.get(cast.slot, now) <= now]
        actions += casts
        actions += _at_once(pool, workers, throttled, casts)
        wake_at = min([wake_at, *(pool.not_before[cast.slot] for cast in throttled)])
        actions += _patience(workers, now)
        wake_at = min([wake_at, *(w.deadline for w in workers if w.deadline > now)])
    return actions, wake_at


def is_whole(pool: PoolFacts, fleet: Iterable[Worker]) -> bool:
    """Whether every wanted slot has a ready worker of the goal generation."""
    seated = {w.slot for w in fleet if w.pool == pool.name and _is_fresh(pool, w) and w.phase is Phase.READY}
    return seated.issuperset(range(pool.target))


def is_seated(pool: PoolFacts, fleet: Iterable[Worker]) -> bool:
    """Whether every canary is ready, and whoever had its seat and leaves has said that it accepts nothing more."""
    seats = range(pool.target if pool.canaries is None else min(pool.canaries, pool.target))
    here = [w for w in fleet if w.pool == pool.name and w.slot in seats]
    ready = {w.slot for w in here if _is_fresh(pool, w) and w.phase is Phase.READY}
    return ready.issuperset(seats) and (pool.beside or all(_is_fresh(pool, w) or w.quiet for w in here))


def is_settled(pool: PoolFacts, fleet: Iterable[Worker]) -> bool:
    """Whether nobody else serves in this pool any more: all others have said that they accept nothing."""
    return all(_is_fresh(pool, w) or w.quiet for w in fleet if w.pool == pool.name)


def has_canary(pool: PoolFacts, fleet: Iterable[Worker]) -> bool:
    """Whether the goal generation has shown in this pool that it can serve."""
    ready = (w for w in fleet if w.pool == pool.name and w.generation == pool.goal and w.phase is Phase.READY)
    return pool.target == 0 or any(ready)


def _is_fresh(pool: PoolFacts, worker: Worker) -> bool:
    goal = pool.goal if pool.canaries is None else pool.goal_of(worker.slot)
    return worker.generation == goal and worker.retiring is None and worker.phase is not Phase.DRAINING


def _surplus(pool: PoolFacts, workers: list[Worker]) -> Iterator[Drain]:
    for worker in workers:
        if worker.slot >= pool.target and worker.phase is not Phase.DRAINING:
            yield Drain(worker, pool.why_fewer)


def _successions(pool: PoolFacts, workers: list[Worker]) -> Iterator[Drain]:
    """A successor that is worn out by now serves as well as any: who was before it need not wait for another."""
    of = pool.goal_of if pool.canaries is not None else None  # a call for each worker costs time
    able = [w for w in workers if w.phase is Phase.READY and w.generation == (of(w.slot) if of else pool.goal)]
    ready = {w.slot for w in able if w.retiring is None}
    last = {w.slot: w.token for w in sorted(able, key=lambda w: w.token) if w.retiring is None or w.retiring in WORN}
    for worker in workers:
        leaves = not _is_fresh(pool, worker) and worker.phase is not Phase.DRAINING
        stays = pool.trying or (
            pool.beside and worker.slot < (pool.canaries or 0) and worker.generation == pool.fallback
        )
        if leaves and stays and worker.retiring is None:
            continue
        succeeded = worker.slot in ready or worker.token < last.get(worker.slot, worker.token)
        if leaves and succeeded and worker.slot < pool.target:
            yield Drain(worker, worker.retiring or Reason.RELOAD)


def _casts(pool: PoolFacts, workers: list[Worker], drains: list[Drain]) -> Iterator[Cast]:
    """Who is started once `drains` are carried out: those workers are among the draining then."""
    told = {drain.worker.token for drain in drains}
    reasons = {drain.reason for drain in drains} | {w.leaving for w in workers}
    staying = [w for w in workers if w.phase is not Phase.DRAINING and w.token not in told]
    fresh = [w for w in staying if _is_fresh(pool, w)]
    taken = {w.slot for w in fresh}
    occupied = {w.slot for w in staying}
    stale = occupied_by_stale(pool, staying)
    successors = sum(w.phase is Phase.STARTING and w.slot in stale for w in fresh)
    room = 1 - len(fresh) if pool.trying else pool.surge - successors
    waiting = _worn_out(pool, staying, somebody_leaves=not WORN.isdisjoint(reasons))
    falls_back = _seen(pool.fallback, workers)

    for slot in range(pool.target):
        if slot in taken:
            continue
        if slot not in occupied and not pool.trying:
            yield Cast(pool.name, slot, pool.goal_of(slot))
        elif slot not in occupied and falls_back:
            yield Cast(pool.name, slot, pool.fallback or pool.goal)
        elif room > 0 and slot not in waiting:
            room -= 1
            yield Cast(pool.name, slot, pool.goal_of(slot))


def _at_once(pool: PoolFacts, workers: list[Worker], throttled: list[Cast], casts: list[Cast]) -> list[Cast]:
    """The throttled one that does not wait: requests have killed whoever served, and nobody is left or coming."""
    if not throttled or any(w.phase is Phase.READY for w in workers):
        return []
    coming = {w.generation for w in workers if w.phase is Phase.STARTING} | {cast.generation for cast in casts}
    possible = [cast for cast in throttled if cast.slot in pool.served and cast.generation not in coming]
    return sorted(possible, key=lambda cast: pool.not_before[cast.slot])[:1]


def _worn_out(pool: PoolFacts, staying: list[Worker], *, somebody_leaves: bool) -> set[int]:
    """The slots of workers that are worn out and stay on, since another one's turn to leave is first."""
    of = pool.goal_of if pool.canaries is not None else None
    worn = [w for w in staying if w.retiring in WORN and w.generation == (of(w.slot) if of else pool.goal)]
    turn = min(worn, key=lambda w: w.token, default=None)
    if turn is None or somebody_leaves:
        return {w.slot for w in worn}
    seated = {w.slot for w in staying if _is_fresh(pool, w)}
    first = next((w for w in worn if w.slot in seated), turn)
    return {w.slot for w in worn} - {first.slot}  # where a successor may be worn out already, too


def occupied_by_stale(pool: PoolFacts, workers: list[Worker]) -> set[int]:
    """The slots that hold a worker which stays until its successor is ready."""
    return {w.slot for w in workers if w.phase is not Phase.DRAINING and not _is_fresh(pool, w)}


def _seen(generation: int | None, workers: list[Worker]) -> bool:
    """Whether the pool existed in that generation: only then can a gap be filled from it."""
    return any(w.generation == generation for w in workers)


def _patience(workers: list[Worker], now: float) -> Iterator[Action]:
    for worker in workers:
        if worker.deadline <= now:
            match worker.patience:
                case Patience.WHOLE:
                    yield Abort(worker)
                case Patience.ABORTED:
                    yield Kill(worker)
                case Patience.KILLED:
                    pass  # the kernel has it; a process in an uninterruptible sleep dies when it wakes
