"""The rounds read rows that workers write to meanwhile: what changes between two looks is no request of long ago."""

import pytest

from forkful.conf.address import Address
from forkful.conf.plan import MasterPlan, Plan, PoolPlan
from forkful.master.model.fleet import Phase, Reason, Worker
from forkful.master.supervisor import delivery, sampling
from forkful.master.supervisor.generations import Generation
from forkful.master.supervisor.state import State
from forkful.worker.ipc.scoreboard import ACTIVE, HEARTBEAT, SINCE, Scoreboard

POOL = PoolPlan("main", "app:Handler", (Address("tcp", host="127.0.0.1"),), timeout=30.0)
NOW = 5000.0
SECOND = 1_000_000_000


class Changing:
    """A row in which one cell is another as soon as it was read, or was read so often."""

    def __init__(self, cells: dict[int, int], cell: int, then: int, looks: int = 1) -> None:
        self.cells, self._cell, self._then, self._looks = cells, cell, then, looks

    def __getitem__(self, cell: int) -> int:
        value = self.cells.get(cell, 0)
        if cell == self._cell:
            self._looks -= 1
            if not self._looks:
                self.cells[cell] = self._then
        return value


def look_at(row: Changing, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """What a worker with this row is after a round."""
    state = State(Scoreboard(), [], "1")
    state.generations.install(Generation(1, Plan((POOL,), MasterPlan()), {"main": ()}))
    worker = Worker(
        1, "main", 0, 1, phase=Phase.READY, ready_at=10.0, row=state.board.allocate(1, pool=0, slot=0, generation=1)
    )
    state.workers.fleet[1] = worker
    monkeypatch.setattr(state.board, "row", lambda _: row)
    monkeypatch.setattr(delivery, "tell", lambda *_: None)
    sampling.advance(state, NOW)
    assert state.rounds.vigil_at > NOW  # it was looked at
    return state.workers.fleet[1]


def test_a_request_that_lasts_too_long_has_its_worker_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = look_at(Changing({SINCE: 4900 * SECOND}, HEARTBEAT, 0), monkeypatch)
    assert worker.leaving is Reason.TIMEOUT


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_a_request_that_ends_as_it_is_looked_at_is_not_taken_for_one_of_long_ago(
    looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = look_at(Changing({SINCE: 4999 * SECOND}, SINCE, 0, looks), monkeypatch)
    assert (worker.phase, worker.doomed) == (Phase.READY, ())


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_a_loop_whose_first_connection_has_just_come_is_not_taken_for_a_blocked_one(
    looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = look_at(Changing({ACTIVE: 1}, HEARTBEAT, 4999 * SECOND, looks), monkeypatch)
    assert (worker.phase, worker.doomed) == (Phase.READY, ())
