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
