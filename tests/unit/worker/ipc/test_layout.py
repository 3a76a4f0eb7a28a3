"""The scoreboard as two versions share it: nobody reads a cell for what it is not."""

import os
from collections.abc import Iterator

import pytest

from forkful.worker.ipc import scoreboard
from forkful.worker.ipc.scoreboard import CELLS, LayoutError, Scoreboard


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    board = Scoreboard()
    yield board
    os.close(board.fd)


def test_next_image_finds_what_the_last_one_counted(board: Scoreboard) -> None:
    row = board.allocate(1, pool=3, slot=0, generation=1)
    board.row(row)[scoreboard.STARTED] = 5

    assert Scoreboard(board.fd).snapshot([3])[3].cells[scoreboard.STARTED] == 5


def test_every_cell_that_the_module_names_is_in_the_layout_once() -> None:
    ours = {
        name for name, value in vars(scoreboard).items() if name.isupper() and isinstance(value, int) and name[0] != "_"
    }
    cells = ours - {"CELLS", "MAX_LISTENERS", "MAX_POOLS", "ROWS", "BUCKETS", "REASONS"}
    named = {name.replace(" ", "_").upper() for name in scoreboard.MEANINGS} | {
        "ACCEPTED",
        "HANDSHAKES",
        "REFUSALS",
        "RESPONSES",
        "QUEUE_BUCKETS",
    }

    assert cells - named == set(), "what it means must be known to the next version"
    assert len(set(scoreboard.MEANINGS.values())) == len(scoreboard.MEANINGS)
    assert max(scoreboard.MEANINGS.values()) < CELLS


def test_memory_whose_cells_mean_something_else_is_refused(board: Scoreboard) -> None:
    legend = board.row(scoreboard.ROWS)
    legend[scoreboard.BUSY], legend[scoreboard.SENT] = legend[scoreboard.SENT], legend[scoreboard.BUSY]

    with pytest.raises(LayoutError, match=f"cell {scoreboard.BUSY}|cell {scoreboard.SENT}"):
        Scoreboard(board.fd)


def test_cell_that_is_new_in_this_version_is_no_reason_to_refuse(board: Scoreboard) -> None:
    board.row(scoreboard.ROWS)[scoreboard.BUSY] = 0  # the last version had no such cell
    Scoreboard(board.fd)

    assert board.row(scoreboard.ROWS)[scoreboard.BUSY]


@pytest.mark.parametrize("size", [0, 8, 64 * 65_536 * 8, 2**26])
def test_other_memory_is_refused(size: int) -> None:
    fd = os.memfd_create("test")
    os.ftruncate(fd, size)
    try:
        with pytest.raises(LayoutError):
            Scoreboard(fd)
    finally:
        os.close(fd)


def test_memory_of_the_right_size_that_is_no_scoreboard_is_refused(board: Scoreboard) -> None:
    fd = os.memfd_create("test")
    os.ftruncate(fd, os.fstat(board.fd).st_size)
    try:
        with pytest.raises(LayoutError, match="no scoreboard"):
            Scoreboard(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("cell", [*scoreboard.COUNTERS[:12], scoreboard.ONLY, scoreboard.BUCKETS, scoreboard.POOL])
@pytest.mark.parametrize("value", [2**61, 2**64 - 1])
def test_row_that_says_what_cannot_be_is_left_out_and_totals_never_fall(
    cell: int, value: int, board: Scoreboard
) -> None:
    for poisoned in (False, True):
        first = board.allocate(1, pool=1, slot=0, generation=1)
        row = board.row(first)
        row[scoreboard.STARTED] = row[scoreboard.BUCKETS] = 5
        if poisoned:
            row[cell] = value
            board.row(2)[cell] = value  # the totals, which are the master's
            board.row(0)[0] = 7  # the sequence
        board.fold(first, 1)

    totals = board.snapshot([1])[1].cells
    assert totals[scoreboard.STARTED] == (10 if cell == scoreboard.POOL else 5)
    assert board.implausible == (cell != scoreboard.POOL)


def test_reader_gives_up_on_a_sequence_that_does_not_settle(board: Scoreboard) -> None:
    board.row(0)[0] = 7
    pauses: list[None] = []
    board.snapshot([0], lambda: pauses.append(None))

    assert 0 < len(pauses) <= 10_000
