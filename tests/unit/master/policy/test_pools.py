"""Histories of policy: facts in, expected actions out."""

import math
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from forkful.master.model.fleet import Patience, Phase, Reason, Worker
from forkful.master.policy.pools import Abort, Action, Cast, Drain, Kill, PoolFacts, decide, is_seated, is_whole

NOW = 100.0


def worker(slot: int, generation: int, phase: Phase = Phase.READY, *, deadline: float = math.inf) -> Worker:
    ready_at = math.inf if phase is Phase.STARTING else 50.0
    token = generation * 100 + slot
    return Worker(token, "main", slot, generation, pid=1000 + token, phase=phase, ready_at=ready_at, deadline=deadline)


OLD = [worker(0, 1), worker(1, 1)]
NEW = [worker(0, 2), worker(1, 2)]
BORN = [worker(0, 2, Phase.STARTING), worker(1, 2, Phase.STARTING)]
LEFT = [worker(0, 1, Phase.DRAINING), worker(1, 1, Phase.DRAINING)]
USED = [replace(w, retiring=Reason.MAX_REQUESTS) for w in OLD]
WAITS = {0: NOW + 5, 1: NOW + 3}
STAY = PoolFacts("main", target=2, goal=1)
TRY = PoolFacts("main", target=2, goal=2, trying=True, fallback=1)
ROLL = replace(TRY, trying=False)
MIX = replace(ROLL, canaries=1)
BACK = PoolFacts("main", target=2, goal=1)

HISTORIES: dict[str, tuple[PoolFacts, list[Worker], list[Action]]] = {
    "an empty pool is filled at once": (STAY, [], [Cast("main", 0, 1), Cast("main", 1, 1)]),
    "a full pool is left alone": (STAY, OLD, []),
    "a gap is filled": (STAY, OLD[1:], [Cast("main", 0, 1)]),
    "a slot that drains is filled": (STAY, [LEFT[0], OLD[1]], [Cast("main", 0, 1)]),
    "a throttled slot waits": (replace(STAY, not_before={0: NOW + 5}), OLD[1:], []),
    "a throttled pool waits where its workers could not boot": (replace(STAY, not_before=WAITS), [], []),
    "one that requests have killed is tried at once, the one with the shortest wait": (
        replace(STAY, not_before=WAITS, served=frozenset({0, 1})),
        [],
        [Cast("main", 1, 1)],
    ),
    "also beside one that could not boot": (
        replace(STAY, not_before=WAITS, served=frozenset({0})),
        [],
        [Cast("main", 0, 1)],
    ),
    "not beside one that serves": (replace(STAY, not_before=WAITS, served=frozenset({0})), OLD[1:], []),
    "nor beside one that boots": (
        replace(STAY, not_before=WAITS, served=frozenset({0})),
        [worker(1, 1, Phase.STARTING)],
        [],
    ),
    "nor beside one that is cast anyway": (
        replace(STAY, not_before={0: NOW + 5}, served=frozenset({0})),
        [],
        [Cast("main", 1, 1)],
    ),
    "one that drains serves nobody new": (
        replace(STAY, not_before=WAITS, served=frozenset({0, 1})),
        [LEFT[0]],
        [Cast("main", 1, 1)],
    ),
    "the canary, which may fail, is not enough for the old generation": (
        replace(TRY, not_before=WAITS, served=frozenset({0, 1}), goal=2),
        [LEFT[1], BORN[0]],
        [Cast("main", 1, 1)],
    ),
    "a reload begins with one canary": (TRY, OLD, [Cast("main", 0, 2)]),
    "while the canary boots nothing else happens": (TRY, [*OLD, BORN[0]], []),
    "even a wide surge waits for the canary": (replace(TRY, surge=2), [*OLD, BORN[0]], []),
    "a canary that is ready waits for those of other pools": (TRY, [*OLD, NEW[0]], []),
    "a gap beside the canary is filled from the old generation": (
        TRY,
        [OLD[0], BORN[0]],
        [Cast("main", 1, 1)],
    ),
    "once all are, it replaces its slot's worker, and the next is cast": (
        ROLL,
        [*OLD, NEW[0]],
        [Drain(OLD[0], Reason.RELOAD), Cast("main", 1, 2)],
    ),
    "a surge of one is one at a time": (ROLL, [LEFT[0], OLD[1], NEW[0], BORN[1]], []),
    "the last old worker leaves when its successor is ready": (
        ROLL,
        [LEFT[0], OLD[1], *NEW],
        [Drain(OLD[1], Reason.RELOAD)],
    ),
    "a pool without an old generation starts with a canary too": (TRY, [], [Cast("main", 0, 2)]),
    "a rollback refills the old generation before the new one leaves": (
        BACK,
        [NEW[0], OLD[1]],
        [Cast("main", 0, 1)],
    ),
    "a rollback drops a new worker whose slot is whole": (
        BACK,
        [*OLD, BORN[0]],
        [Drain(BORN[0], Reason.RELOAD)],
    ),
    "canaries have the first slots, and the others stay": (MIX, [*OLD, NEW[0]], [Drain(OLD[0], Reason.RELOAD)]),
    "the others have successors of the old generation": (MIX, [NEW[0]], [Cast("main", 1, 1)]),
    "and so they are used up, too": (MIX, [NEW[0], USED[1]], [Cast("main", 1, 1)]),
    "a canary that is gone is cast again": (MIX, [OLD[1]], [Cast("main", 0, 2)]),
    "an old worker may stay beside its canary": (replace(MIX, beside=True), [*OLD, NEW[0]], []),
    "until it is used up": (
        replace(MIX, beside=True),
        [USED[0], OLD[1], NEW[0]],
        [Drain(USED[0], Reason.MAX_REQUESTS)],
    ),
    "a used-up worker gets its successor first, one at a time": (STAY, USED, [Cast("main", 0, 1)]),
    "it leaves also when its successor is used up by then": (
        replace(STAY, target=1),
        [USED[0], replace(USED[0], token=900)],
        [Drain(USED[0], Reason.MAX_REQUESTS)],
    ),
    "then it leaves for its own reason": (
        STAY,
        [*USED, replace(OLD[0], token=900)],
        [Drain(USED[0], Reason.MAX_REQUESTS)],
    ),
    "the next waits until it is gone": (
        replace(STAY, surge=4),
        [replace(LEFT[0], leaving=Reason.MAX_REQUESTS), USED[1], replace(OLD[0], token=900)],
        [],
    ),
    "and has its turn then, before one that is used up later": (
        replace(STAY, surge=4),
        [USED[1], replace(USED[0], token=900)],
        [Cast("main", 1, 1)],
    ),
    "a stuck one does not wait for its turn": (
        replace(STAY, surge=2),
        [USED[0], replace(OLD[1], retiring=Reason.TIMEOUT)],
        [Cast("main", 0, 1), Cast("main", 1, 1)],
    ),
    "a reload replaces them as it replaces all": (
        replace(ROLL, surge=2),
        USED,
        [Cast("main", 0, 2), Cast("main", 1, 2)],
    ),
    "fewer wanted: the highest slots leave": (
        replace(STAY, target=1),
        OLD,
        [Drain(OLD[1], Reason.SCALE_DOWN)],
    ),
    "a stop drains everybody": (
        replace(STAY, target=0, why_fewer=Reason.STOP),
        OLD,
        [Drain(OLD[0], Reason.STOP), Drain(OLD[1], Reason.STOP)],
    ),
    "patience ends with stacks": (
        STAY,
        [*OLD, worker(0, 1, Phase.DRAINING, deadline=NOW)],
        [Abort(worker(0, 1, Phase.DRAINING, deadline=NOW))],
    ),
    "and then with a kill": (
        STAY,
        [*OLD, replace(LEFT[0], deadline=NOW, patience=Patience.ABORTED)],
        [Kill(replace(LEFT[0], deadline=NOW, patience=Patience.ABORTED))],
    ),
    "a killed one is waited for": (STAY, [*OLD, replace(LEFT[0], deadline=NOW, patience=Patience.KILLED)], []),
}


@pytest.mark.parametrize(("pool", "fleet", "expected"), HISTORIES.values(), ids=HISTORIES)
def test_decide(pool: PoolFacts, fleet: list[Worker], expected: list[Action]) -> None:
    actions, _ = decide([pool], fleet, NOW)
    assert actions == expected


def test_it_asks_again_at_the_earliest_of_throttles_and_deadlines() -> None:
    pool = replace(STAY, target=3, not_before={2: NOW + 7})
    _, wake_at = decide([pool], [OLD[0], worker(1, 1, Phase.STARTING, deadline=NOW + 9)], NOW)
    assert wake_at == NOW + 7


def test_with_nothing_pending_it_sleeps_until_something_happens() -> None:
    assert decide([STAY], OLD, NOW) == ([], math.inf)


def test_pools_do_not_see_each_other() -> None:
    other = replace(STAY, name="other", target=1)
    actions, _ = decide([STAY, other], OLD, NOW)
    assert actions == [Cast("other", 0, 1)]


@pytest.mark.parametrize(
    ("fleet", "whole"),
    [(OLD, False), ([*OLD, NEW[0]], False), ([*OLD, *NEW], True), ([NEW[0], BORN[1]], False), (NEW, True)],
)
def test_whole_means_every_slot_has_a_ready_worker_of_the_goal(fleet: list[Worker], whole: bool) -> None:
    assert is_whole(ROLL, fleet) is whole


@pytest.mark.parametrize(
    ("pool", "fleet", "seated"),
    [
        (MIX, OLD, False),
        (MIX, [OLD[1], BORN[0]], False),
        (MIX, [OLD[1], NEW[0]], True),
        (MIX, [OLD[1], NEW[0], LEFT[0]], False),
        (MIX, [OLD[1], NEW[0], replace(LEFT[0], quiet=True)], True),
        (MIX, [*OLD, NEW[0]], False),
        (replace(MIX, beside=True), [*OLD, NEW[0]], True),
        (replace(MIX, canaries=2), [OLD[1], NEW[0]], False),
        (replace(MIX, canaries=None), NEW, True),
    ],
)
def test_seated_means_that_canaries_serve_and_nobody_else_takes_anything_in_their_seats(
    pool: PoolFacts, fleet: list[Worker], seated: bool
) -> None:
    assert is_seated(pool, fleet) is seated


# -- what deciding costs -----------------------------------------------------------------------------------------------


def crowd(size: int, phase: Phase, *, generation: int = 1, retiring: Reason | None = None) -> list[Worker]:
    return [Worker(n, "main", n, generation, phase=phase, retiring=retiring) for n in range(size)]


CROWDS: dict[str, Callable[[int], tuple[PoolFacts, list[Worker]]]] = {
    "nobody is there": lambda n: (PoolFacts("main", n, 1), []),
    "all boot": lambda n: (PoolFacts("main", n, 1), crowd(n, Phase.STARTING)),
    "all serve": lambda n: (PoolFacts("main", n, 1), crowd(n, Phase.READY)),
    "all are of the last generation": lambda n: (PoolFacts("main", n, 2, fallback=1), crowd(n, Phase.READY)),
    "a new generation is tried, and all have died": lambda n: (
        PoolFacts("main", n, 2, trying=True, fallback=1),
        crowd(1, Phase.READY),
    ),
    "all are worn out": lambda n: (PoolFacts("main", n, 1), crowd(n, Phase.READY, retiring=Reason.MAX_REQUESTS)),
    "all drain": lambda n: (PoolFacts("main", n, 1), crowd(n, Phase.DRAINING)),
    "successors boot beside all": lambda n: (
        PoolFacts("main", n, 2, fallback=1, surge=n),
        crowd(n, Phase.READY) + [replace(w, token=n + w.token) for w in crowd(n, Phase.STARTING, generation=2)],
    ),
    "successors of all are ready": lambda n: (
        PoolFacts("main", n, 2, fallback=1, surge=n),
        crowd(n, Phase.READY) + [replace(w, token=n + w.token) for w in crowd(n, Phase.READY, generation=2)],
    ),
    "nobody is wanted any more": lambda n: (PoolFacts("main", 0, 1), crowd(n, Phase.READY)),
}


def calls(crowd_of: Callable[[int], tuple[PoolFacts, list[Worker]]], size: int) -> int:
    """What deciding costs: calls, steps of generators among them, and not time."""
    pool, workers = crowd_of(size)
    count = 0

    def profile(*_: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        decide([pool], workers, 0.0)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("crowd_of", CROWDS.values(), ids=CROWDS)
def test_deciding_grows_no_faster_than_the_number_of_workers(
    crowd_of: Callable[[int], tuple[PoolFacts, list[Worker]]],
) -> None:
    """Four times the workers may cost six times as many."""
    assert calls(crowd_of, 1000) <= 6 * calls(crowd_of, 250)


@pytest.mark.parametrize("crowd_of", CROWDS.values(), ids=CROWDS)
def test_deciding_costs_few_calls_for_each_worker(
    crowd_of: Callable[[int], tuple[PoolFacts, list[Worker]]],
) -> None:
    """One copy of a worker's record would be 40 of them, and 20 ms for a thousand workers that leave together."""
    assert calls(crowd_of, 1000) <= 30 * 1000
