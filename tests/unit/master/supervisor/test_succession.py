"""Succession: who may begin, and who gets what was left."""

import math
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from forkful.conf.plan import Plan, PoolPlan
from forkful.master.model.fleet import Phase, Worker
from forkful.master.supervisor import reaper, succession
from forkful.master.supervisor.generations import Generation
from forkful.master.supervisor.state import State
from forkful.worker.ipc import bequest, messages
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.scoreboard import Scoreboard
from tests.kit import processes


class Slot:
    """Workers of one slot of the pool `flows` (with affinity) or `web` (without), each with its end of its channel."""

    def __init__(self, pool: str) -> None:
        self.state = State(Scoreboard(), [], "1")
        self.pool = pool
        plan = Plan((PoolPlan("flows", "x:y", (), affinity="peer"), PoolPlan("web", "x:y", ())))
        self.state.generations.current = Generation(1, plan, {})
        self.ends: dict[int, Channel] = {}

    def worker(self, token: int, phase: Phase = Phase.READY, **more: bool) -> None:
        ours, self.ends[token] = Channel.pair()
        ready_at = math.inf if phase is Phase.STARTING else 1.0
        made = Worker(token, self.pool, 0, 1, pid=10_000 + token, phase=phase, ready_at=ready_at, row=0, lanes=0)
        self.state.workers.seat(replace(made, **more), ours)  # type: ignore[arg-type]  # flags

    def says(self, token: int, message: messages.FromWorker, fds: tuple[int, ...] = ()) -> None:
        self.ends[token].send(message, fds)
        for fd in fds:
            os.close(fd)
        reaper.hear_worker(self.state, token, 2.0)
        succession.advance(self.state)

    def leaves(self, token: int, data: bytes) -> None:
        """It says what is for the one after it."""
        self.says(token, messages.Bequest(), (bequest.seal(data),))

    def drains(self, token: int) -> None:
        self.state.workers.change(replace(self.state.workers.fleet[token], phase=Phase.DRAINING))

    def goes(self, token: int) -> None:
        worker, channel = self.state.workers.unseat(token)
        channel.close()
        succession.ended(self.state, worker)
        succession.advance(self.state)

    def inherits(self, token: int) -> bytes | None:
        """What this one was told; None: nothing yet."""
        told = self.ends[token].receive(messages.TO_WORKER)
        if not told:
            return None
        (answer,) = told
        assert isinstance(answer, messages.Inherited)
        return bequest.read(self.ends[token].fds.pop()) if answer.some else b""

    def close(self) -> None:
        for channel in (*self.ends.values(), *self.state.workers.channels.values()):
            channel.close()
        for left in self.state.workers.bequests.values():
            left.close()


@pytest.fixture
def flows() -> Iterator[Slot]:
    slot = Slot("flows")
    yield slot
    slot.close()


@pytest.fixture
def web() -> Iterator[Slot]:
    slot = Slot("web")
    yield slot
    slot.close()


def test_the_first_one_begins_at_once(flows: Slot, web: Slot) -> None:
    for slot in (flows, web):
        slot.worker(1)
        slot.says(1, messages.Heir())
        assert slot.inherits(1) == b""


def test_with_affinity_it_begins_when_the_one_before_has_passed(flows: Slot) -> None:
    flows.worker(1, holds=True)
    flows.worker(2)
    flows.says(2, messages.Heir())
    flows.drains(1)
    flows.says(1, messages.Draining())
    flows.leaves(1, b"state")
    assert flows.inherits(2) is None, "it may still have a datagram in hand"
    flows.says(1, messages.Passed())
    assert flows.inherits(2) == b"state"
    flows.goes(1)
    assert not flows.state.workers.bequests


def test_one_that_is_killed_leaves_nothing(flows: Slot, web: Slot) -> None:
    for slot in (flows, web):
        slot.worker(1, holds=True)
        slot.worker(2)
        slot.says(2, messages.Heir())
        assert slot.inherits(2) is None
        slot.goes(1)
        assert slot.inherits(2) == b""


def test_without_affinity_what_is_left_comes_at_once(web: Slot) -> None:
    web.worker(1)
    web.worker(2)
    web.says(2, messages.Heir())
    web.drains(1)
    web.leaves(1, b"state")
    assert web.inherits(2) == b"state"


def test_what_is_left_waits_for_the_one_after(web: Slot) -> None:
    web.worker(1)
    web.worker(2, Phase.STARTING)
    web.drains(1)
    web.leaves(1, b"state")
    web.goes(1)
    web.goes(2)  # it could not boot
    web.worker(3)
    web.says(3, messages.Heir())
    assert web.inherits(3) == b"state"


def test_what_is_left_in_a_pool_that_was_made_smaller_waits_until_it_grows(flows: Slot, web: Slot) -> None:
    for slot in (flows, web):
        plan = slot.state.generations.current.plan.pools  # type: ignore[union-attr]  # there is one
        pool = next(pool for pool in plan if pool.name == slot.pool)
        slot.worker(1, heir=True)
        slot.state.targets.order(pool, 0)
        slot.drains(1)
        slot.leaves(1, b"state")
        slot.goes(1)
        slot.state.targets.order(pool, 1)
        slot.worker(2)
        slot.says(2, messages.Heir())
        assert slot.inherits(2) == b"state"


def test_what_is_left_in_a_pool_that_the_settings_have_no_more_is_forgotten(web: Slot) -> None:
    web.worker(1)
    web.drains(1)
    web.leaves(1, b"state")
    web.state.generations.current = Generation(2, Plan((PoolPlan("flows", "x:y", ()),)), {})
    web.goes(1)
    assert web.state.workers.bequests == {}


def test_what_nobody_asked_for_is_not_left_to_the_one_after_him(web: Slot) -> None:
    web.worker(1)
    web.worker(2)
    web.drains(1)
    web.leaves(1, b"old")
    web.goes(1)
    web.goes(2)
    web.worker(3)
    web.says(3, messages.Heir())
    assert web.inherits(3) == b""


def test_who_leaves_something_does_not_inherit_it_himself(web: Slot) -> None:
    web.worker(1)
    web.drains(1)
    web.leaves(1, b"state")
    web.says(1, messages.Heir())
    assert web.inherits(1) == b""
    web.worker(2)
    web.says(2, messages.Heir())
    assert web.inherits(2) == b"state"


def test_two_that_become_ready_for_one_slot_never_have_it_both(flows: Slot) -> None:
    flows.worker(1, Phase.STARTING)  # of the old generation, after a crash
    flows.worker(2)
    flows.says(2, messages.Heir())
    assert flows.inherits(2) == b""
    flows.says(1, messages.Ready())
    flows.says(1, messages.Heir())
    assert flows.inherits(1) is None
    flows.says(2, messages.Passed())
    assert flows.inherits(1) is None, "who was not told to leave has passed nothing on"
    flows.drains(2)
    flows.says(2, messages.Passed())
    assert flows.inherits(1) == b""


@pytest.mark.parametrize("fds", [0, 1], ids=["nothing", "a socket"])
def test_a_bequest_that_is_none_is_closed_and_told(flows: Slot, fds: int, caplog: pytest.LogCaptureFixture) -> None:
    flows.worker(1)
    flows.drains(1)
    before = len(processes.descriptors(os.getpid()))
    flows.says(1, messages.Bequest(), tuple(os.dup(flows.ends[1].fileno()) for _ in range(fds)))
    assert not flows.state.workers.bequests
    assert len(processes.descriptors(os.getpid())) == before
    assert "is not handed over" in caplog.text


def test_a_bequest_of_one_that_was_not_told_to_leave_is_closed(flows: Slot) -> None:
    flows.worker(1)
    before = len(processes.descriptors(os.getpid()))
    flows.leaves(1, b"state")
    assert not flows.state.workers.bequests
    assert len(processes.descriptors(os.getpid())) == before


def test_what_is_left_again_replaces_what_was(web: Slot) -> None:
    web.worker(1)
    web.drains(1)
    before = len(processes.descriptors(os.getpid()))
    for data in (b"one", b"two"):
        web.leaves(1, data)
    assert len(processes.descriptors(os.getpid())) == before + 1
    web.worker(2)
    web.says(2, messages.Heir())
    assert web.inherits(2) == b"two"
