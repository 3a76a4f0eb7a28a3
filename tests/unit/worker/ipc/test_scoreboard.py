"""What a worker leaves behind on the scoreboard when it is gone."""

from forkful.worker.ipc.scoreboard import ACCEPTED, ARRIVING, BOUNDS, BUCKETS, LOST, REFUSALS, STARTED, Scoreboard
from forkful.worker.net.steps import Reason, refusal_cell


def test_cells_do_not_overlap() -> None:
    last = refusal_cell(15, max(Reason))

    assert ACCEPTED + 16 == BUCKETS
    assert BUCKETS + len(BOUNDS) + 1 == ARRIVING == REFUSALS - 1
    assert last < len(Scoreboard().row(0)) - 5, "behind them are the flags"


def test_refusals_outlive_the_worker_and_what_was_arriving_is_lost_with_it() -> None:
    board = Scoreboard()
    first = board.allocate(2, pool=0, slot=0, generation=1)
    row = board.row(first + 1)
    row[refusal_cell(3, Reason.DENIED)] = 7
    row[STARTED], row[BUCKETS], row[ARRIVING] = 2, 1, 1

    living = board.snapshot([0])[0]
    lost = board.fold(first, 2)
    departed = board.snapshot([0])[0]

    assert (living.in_flight, departed.in_flight) == (2, 0)
    assert lost == departed.cells[LOST] == 2
    assert living.cells[refusal_cell(3, Reason.DENIED)] == departed.cells[refusal_cell(3, Reason.DENIED)] == 7
