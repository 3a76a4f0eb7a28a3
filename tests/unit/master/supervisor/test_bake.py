"""The bake counts what each worker does from the moment when all canaries serve, whatever becomes of it."""

import math
from dataclasses import replace

import pytest

from forkful.conf.address import Address
from forkful.conf.plan import MasterPlan, Plan, PoolPlan
from forkful.master.model.fleet import Failure, Phase, Reason, Worker
from forkful.master.policy.canary import LOOKS
from forkful.master.policy.throttle import Strikes
from forkful.master.policy.transaction import Event, Stage
from forkful.master.supervisor import bake, progress, rollback, spare
from forkful.master.supervisor.bake import Bake
from forkful.master.supervisor.generations import Generation, MoldRecord, Spare
from forkful.master.supervisor.state import State
from forkful.master.supervisor.transaction import Kind, Transaction
from forkful.worker.ipc.scoreboard import BUCKETS, BUSY, ERROR, STARTED, Scoreboard

POOL = PoolPlan("main", "app:Handler", (Address("tcp", host="127.0.0.1"),), workers=3, preload=True)
PLAN = Plan((POOL,), MasterPlan(canary="1", bake_time=100.0))
BEGAN = 1000.0


class Service:
    """Two old workers and a canary, which serve since `BEGAN`."""

    def __init__(self, plan: Plan = PLAN) -> None:
        self.state = State(Scoreboard(), [], "1")
        self.state.generations.install(Generation(1, plan, {}))
        self.state.transaction = Transaction(Stage.SEATING, candidate=Generation(2, plan, {}))
        self.old = [self.seat(slot, 1) for slot in (1, 2)]
        self.new = self.seat(0, 2)

    def seat(self, slot: int, generation: int, ready_at: float = 10.0) -> Worker:
        token = self.state.workers.number()
        row = self.state.board.allocate(1, pool=0, slot=slot, generation=generation)
        worker = Worker(token, "main", slot, generation, phase=Phase.READY, ready_at=ready_at, row=row)
        self.state.workers.fleet[token] = worker
        return worker

    def serve(self, worker: Worker, ended: int, *, failed: int = 0, going: int = 0, seconds: float = 0.01) -> None:
        row = self.state.board.row(worker.row)
        row[STARTED] += ended + going
        row[ERROR] += failed
        row[BUSY] += int(ended * seconds * 1e9)
        row[BUCKETS + 6] += ended

    def begin(self) -> Bake:
        assert self.state.transaction is not None
        bake.begin(self.state, self.state.transaction, BEGAN)
        self.state.transaction.enter(Stage.BAKING, math.inf)
        assert self.state.transaction.bake is not None
        return self.state.transaction.bake

    def look(self, now: float) -> Event | None:
        assert self.state.transaction is not None
        return bake.event(self.state, self.state.transaction, now)


def test_only_what_is_done_since_the_canaries_serve_counts() -> None:
    service = Service()
    service.serve(service.old[0], 500, failed=500)
    service.serve(service.new, 70)
    found = service.begin()
    for worker in (*service.old, service.new):
        service.serve(worker, 10, failed=1)
    service.look(BEGAN + 10)

    pair = found.pairs["main"]
    assert (pair.old.requests, pair.old.failed, pair.new.requests, pair.new.failed) == (20, 2, 10, 1)
    assert pair.new.mean == pytest.approx(0.01)
    assert (pair.old.served, pair.new.served) == (20.0, 10.0)


def test_who_was_leaving_when_it_began_does_not_count_and_who_came_later_does() -> None:
    service = Service()
    leaving = service.seat(0, 1)
    service.state.workers.change(replace(leaving, phase=Phase.DRAINING, leaving=Reason.RELOAD))
    found = service.begin()
    service.serve(leaving, 100, failed=100)
    late = service.seat(2, 1, ready_at=BEGAN + 6)
    service.serve(late, 5)
    service.look(BEGAN + 10)

    assert (found.pairs["main"].old.requests, found.pairs["main"].old.failed) == (5, 0)
    assert found.pairs["main"].old.served == 24.0


def test_what_the_dead_have_done_stays_counted_with_what_they_took_along() -> None:
    service = Service()
    found = service.begin()
    service.serve(service.new, 8, failed=2, going=3)
    bake.ends(service.state, service.new, BEGAN + 5)
    lost = service.state.board.fold(service.new.row, 1)
    del service.state.workers.fleet[service.new.token]
    bake.died(service.state, service.new, lost, BEGAN + 5)
    assert found.look_at == BEGAN + 5, "at once"
    service.look(BEGAN + 5)

    pair = found.pairs["main"]
    assert (pair.new.requests, pair.new.failed, pair.new.deaths, pair.new.row) == (11, 5, 1, 1)
    assert (pair.new.served, pair.old.deaths) == (5.0, 0)


def test_requests_that_go_on_for_long_are_stuck_and_those_that_have_just_begun_are_not() -> None:
    service = Service()
    found = service.begin()
    service.serve(service.new, 0, going=4)
    for part in LOOKS:
        service.serve(service.old[0], 9, going=1)  # another one each time
        service.state.board.row(service.old[0].row)[BUCKETS + 6] += 1 if part > LOOKS[0] else 0
        service.look(BEGAN + 100 * part)
        if part >= 0.5:
            assert (found.pairs["main"].new.stuck, found.pairs["main"].old.stuck) == (4, 0)


def test_rows_that_say_what_cannot_be_are_bounded() -> None:
    service = Service()
    found = service.begin()
    service.state.board.row(service.new.row)[:] = memoryview(bytes([255]) * 8 * 256).cast("Q")
    service.look(BEGAN + 10)
    service.state.board.row(service.new.row)[BUCKETS + 3] = 7
    service.look(BEGAN + 60)

    assert 0 <= found.pairs["main"].new.failed <= found.pairs["main"].new.requests < 10**10


def test_looks_end_with_the_bake_and_never_stand_still() -> None:
    service = Service()
    found = service.begin()
    looks = []
    while (event := service.look(found.look_at)) is None:
        looks.append(found.look_at)

    assert event is Event.PASSED
    assert looks == sorted(set(looks))
    assert looks[-1] == pytest.approx(BEGAN + 100)
    assert len(looks) <= len(LOOKS)


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.3, 86_400.0])
def test_bake_of_any_length_ends(seconds: float) -> None:
    service = Service(replace(PLAN, master=replace(PLAN.master, bake_time=seconds)))
    found = service.begin()
    now = BEGAN
    for _ in range(100):
        now = max(now + 1e-6, found.look_at)
        if service.look(now) is not None:
            break
    assert now == pytest.approx(BEGAN + seconds, abs=0.1)


def test_failing_canaries_are_a_failure_like_any_other() -> None:
    service = Service()
    found = service.begin()
    service.serve(service.old[0], 1000)
    service.serve(service.new, 100, failed=50)

    assert service.look(found.look_at) is Event.FAILED
    assert service.state.transaction is not None
    assert service.state.transaction.failure == Failure(
        "canary", "pool main: 50.0% of 100 requests failed, of the old workers' 1000 0.0%"
    )


def test_bake_whose_workers_were_all_retired_says_that_nobody_was_compared() -> None:
    service = Service()
    service.begin()
    service.state.targets.paused = True  # WINCH

    assert service.look(BEGAN + 101) is Event.PASSED
    assert service.state.transaction is not None
    assert "no pool had workers of both generations to compare" in bake.outcome(service.state.transaction)


def test_crash_loop_before_the_bake_and_after_it_is_one_too_unless_it_was_there_before() -> None:
    service = Service()
    assert service.state.transaction is not None
    service.state.workers.strikes["main", 0] = Strikes(3)

    assert progress.event(service.state, service.state.transaction, BEGAN) is Event.FAILED
    assert service.state.transaction.failure == Failure("crash_loop", "workers of pool main die again and again")
    service.state.transaction = Transaction(Stage.ROLLING, candidate=service.state.transaction.candidate)
    service.state.transaction.crashed_before({"main"})
    assert spare.crashing(service.state, service.state.transaction) == ""


def test_spare_expires_but_not_while_something_is_under_way() -> None:
    service = Service()
    service.state.generations.keep(Spare(1, BEGAN))

    assert rollback.advance(service.state, BEGAN + 1) == math.inf
    assert service.state.generations.spare is not None
    service.state.transaction = None
    rollback.advance(service.state, BEGAN + 1)
    assert service.state.generations.spare is None


def kept(old: Generation, new: Generation) -> bool:
    service = Service()
    spare.keep(service.state, old, new, set(), BEGAN)
    return service.state.generations.spare == Spare(old.number, BEGAN + 100)


def generation(number: int, plan: Plan = PLAN, molds: int = 1) -> Generation:
    made = Generation(number, plan, {}, molds=molds)
    made.mold = MoldRecord(number, 1, None, ready=True)  # type: ignore[arg-type]  # nobody speaks to it
    return made


def test_generation_is_kept_only_with_a_mold_that_has_its_code() -> None:
    new = generation(2)
    assert kept(generation(1, molds=1), new)
    assert not kept(Generation(1, PLAN, {}), new), "no mold"
    assert not kept(generation(1, molds=2), new), "another mold"
    assert not kept(generation(1, replace(PLAN, pools=(replace(POOL, preload=False),))), new)
    assert not kept(generation(1), generation(2, replace(PLAN, master=MasterPlan()))), "no bake_time"
    assert not kept(generation(1, replace(PLAN, stand_in=True)), new)


@pytest.mark.parametrize(
    ("stage", "kind", "word"),
    [
        (Stage.BAKING, Kind.RELOAD, "forkful reload --abort"),
        (Stage.ROLLING, Kind.UPGRADE, "the upgrade that is under way"),
        (None, None, "there is no generation to go back to"),
    ],
)
def test_rollback_that_cannot_be_is_refused_by_name(stage: Stage | None, kind: Kind | None, word: str) -> None:
    service = Service()
    service.state.transaction = Transaction(stage, kind or Kind.RELOAD) if stage is not None else None

    assert word in rollback.refusal(service.state)
