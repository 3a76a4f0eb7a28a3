"""Histories of requests that kill whoever serves them: how long is a pool without anybody?"""

from dataclasses import replace

import pytest

from forkful.master.model.fleet import Phase, Worker
from forkful.master.policy.pools import Cast, PoolFacts, decide
from forkful.master.policy.throttle import Strikes, strike

STEP = 0.1  # seconds


def longest_without_anybody(slots: int, requests: int, within: float, *, boot: float, in_flight: bool = True) -> float:
    """Play the deaths of a pool of this size; `boot` is how long a worker takes to be ready."""
    fleet: dict[int, Worker] = {}
    strikes: dict[int, Strikes] = {}
    due = [within * (n + 1) / requests for n in range(requests)]
    now, token, alone, longest = 0.0, 0, 0.0, 0.0
    while due or len(fleet) < slots:
        for slot, worker in fleet.items():
            if worker.phase is Phase.STARTING and worker.born + boot <= now:
                fleet[slot] = replace(worker, phase=Phase.READY, ready_at=now)
        ready = [slot for slot, worker in fleet.items() if worker.phase is Phase.READY]
        if due and due[0] <= now and ready:
            due.pop(0)
            before = strikes.get(ready[0], Strikes())
            strikes[ready[0]] = strike(before, was_ready=True, now=now, dice=0.5, in_flight=in_flight)
            del fleet[ready[0]]
        pool = PoolFacts(
            "main",
            target=slots,
            goal=1,
            not_before={slot: each.not_before for slot, each in strikes.items()},
            served=frozenset(slot for slot, each in strikes.items() if each.served),
        )
        for action in decide([pool], fleet.values(), now)[0]:
            assert isinstance(action, Cast)
            token += 1
            fleet[action.slot] = Worker(token, "main", action.slot, 1, pid=token, born=now)
        alone = 0.0 if fleet else alone + STEP
        longest = max(longest, alone)
        now += STEP
        assert now < within + 300.0, "in the end they are all there"
    return longest


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
@pytest.mark.parametrize(("requests", "within"), [(15, 10.0), (50, 10.0), (40, 120.0)])
@pytest.mark.parametrize("boot", [0.0, 0.5, 3.0])
def test_requests_that_kill_workers_never_leave_a_pool_without_one_that_serves_or_boots(
    slots: int, requests: int, within: float, boot: float
) -> None:
    assert longest_without_anybody(slots, requests, within, boot=boot) == 0.0


def test_workers_that_die_by_themselves_do() -> None:
    assert longest_without_anybody(2, 15, 10.0, boot=0.0, in_flight=False) > 5.0
