"""A tally: cells with one place in every file, columns that outlive their workers, a lock that ends with its holder."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from forkful.handlers import Tally


def in_a_child(what: Callable[[], object], *, killed: bool = False) -> None:
    """Run it in a process of its own, which then leaves, or is killed."""
    if not (pid := os.fork()):
        code = 1
        try:
            what()
            code = 0
        finally:
            if killed and not code:
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == (signal.SIGKILL if killed else 0)


@pytest.fixture
def tally(tmp_path: Path) -> Tally:
    return Tally("test", cells=1000, folder=str(tmp_path))


def add(tally: Tally, key: bytes, number: float = 1.0) -> None:
    tally.own[tally.place(key)] += number


def test_what_killed_workers_added_is_in_the_sum(tally: Tally, tmp_path: Path) -> None:
    for _ in range(5):
        in_a_child(lambda: add(tally, b"paid"), killed=True)
    add(tally, b"paid", 2.5)
    tally.refresh()

    assert tally.sum(tally.place(b"paid")) == [7.5]
    assert len(list((tmp_path / "tally-test").glob("column-*"))) == 1, "the next goes on with the column of the last"


def test_who_works_at_the_same_time_has_a_column_of_its_own(tally: Tally, tmp_path: Path) -> None:
    add(tally, b"a")
    in_a_child(lambda: add(tally, b"a"))
    tally.refresh()

    assert tally.sum(tally.place(b"a")) == [2.0]
    assert len(list((tmp_path / "tally-test").glob("column-*"))) == 2


def test_keys_of_others_have_the_same_place_here(tally: Tally, tmp_path: Path) -> None:
    other = Tally("test", cells=1000, folder=str(tmp_path))
    place = tally.place(b"wide", 10)
    in_a_child(lambda: add(other, b"theirs"))

    assert (tally.place(b"next"), tally.places[b"theirs"]) == (place + 11, place + 10)
    other.refresh()
    assert other.places == tally.places


def test_a_killed_holder_leaves_no_lock(tally: Tally) -> None:
    in_a_child(lambda: tally.alone().__enter__(), killed=True)
    with tally.alone():
        tally.shared[tally.place(b"b") if b"b" in tally.places else 0] += 1

    assert tally.sum(0) == [1.0]


def test_a_lock_of_before_a_fork_keeps_the_child_out(tally: Tally) -> None:
    with tally.alone():  # the file of the lock is open before the fork, as in a mold that has asked for a place
        pass

    def change() -> None:
        for _ in range(2000):
            with tally.alone():
                tally.shared[0] += 1

    children = []
    for _ in range(3):
        if not (pid := os.fork()):
            try:
                change()
            finally:
                os._exit(0)  # what is missing shows in the sum
        children.append(pid)
    change()
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    assert tally.sum(0) == [8000.0]


def test_no_room_and_no_directory_are_told(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MemoryError, match="'test' has 1000 cells"):
        tally.place(b"too wide", 1001)
    with pytest.raises(ValueError, match="one line"):
        tally.place(b"two\nlines")
    tally.place(b"wide", 3)
    with pytest.raises(ValueError, match="has 3 cells, not 4"):
        tally.place(b"wide", 4)
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    lost = Tally("lost")
    for _ in range(2):  # nor does it keep its lock
        with pytest.raises(RuntimeError, match="no directory for the tally 'lost'"):
            lost.place(b"a")
