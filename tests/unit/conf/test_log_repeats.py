"""The limit for tracebacks, and what it tells of those left out."""

import logging
import sys
from typing import NoReturn

import pytest

from forkful.conf import log_repeats
from forkful.conf.log_repeats import MOST, Repeats


def fail(error: Exception) -> NoReturn:
    raise error


def record(what: type[Exception] = ValueError) -> logging.LogRecord:
    try:
        fail(what("again"))
    except what:
        return logging.LogRecord("forkful.test", logging.ERROR, __file__, 1, "error in %s", ("GET /",), sys.exc_info())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(log_repeats, "monotonic", lambda: now[0])
    return now


def test_only_so_many_of_a_kind_come_in_a_second_and_the_next_one_tells_of_the_others(clock: list[float]) -> None:
    repeats = Repeats()

    admitted = [repeats.admit(record()) for _ in range(MOST + 5)]
    assert [each is not None for each in admitted] == [True] * MOST + [False] * 5
    assert repeats.admit(record(KeyError)) is not None
    clock[0] += 1

    told = repeats.admit(record())
    assert told is not None
    assert told.getMessage() == "error in GET / (5 more tracebacks of this kind were left out before it)"
    assert list(repeats.left_out(at_end=True)) == []


def test_what_does_not_come_again_is_told_by_whatever_comes(clock: list[float]) -> None:
    repeats = Repeats()
    for _ in range(MOST + 1):
        repeats.admit(record())

    assert list(repeats.left_out()) == []
    clock[0] += 1

    assert list(repeats.left_out()) == ["1 more of this kind was left out: ValueError, logged by forkful.test"]
    assert list(repeats.left_out()) == []


def test_records_without_a_traceback_are_not_counted() -> None:
    repeats = Repeats()
    plain = logging.LogRecord("forkful.test", logging.ERROR, __file__, 1, "refused", (), None)

    assert all(repeats.admit(plain) is plain for _ in range(10 * MOST))


def test_more_kinds_than_are_told_apart_cost_no_memory(clock: list[float]) -> None:  # noqa: ARG001
    repeats = Repeats()
    for number in range(1000):
        kind = record()
        kind.lineno = number
        repeats.admit(kind)
        list(repeats.left_out())

    assert len(repeats._kinds) <= log_repeats._KINDS + 1  # noqa: SLF001


def line(name: str, number: int, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, number, "refused %s", ("1.2.3.4",), None)


def test_lines_of_one_place_are_bounded_and_counted_and_each_place_has_its_own(clock: list[float]) -> None:
    repeats = Repeats()

    admitted = [repeats.admit_line(line("forkful.worker", 1)) for _ in range(MOST + 1_000)]
    assert sum(each is not None for each in admitted) == MOST
    assert repeats.admit_line(line("forkful.worker", 2)) is not None
    clock[0] += 1

    told = repeats.admit_line(line("forkful.worker", 1))
    assert told is not None
    assert told.getMessage() == "refused 1.2.3.4 (1000 more lines of this kind were left out before it)"


def test_lines_that_an_operator_asked_for_are_all_there(clock: list[float]) -> None:
    repeats = Repeats()
    assert clock

    assert all(repeats.admit_line(line("forkful.worker", 1, logging.DEBUG)) for _ in range(1_000))


def test_application_may_say_more_and_not_without_end(clock: list[float]) -> None:
    repeats = Repeats()
    assert clock

    admitted = [repeats.admit_line(line("forkful.app", 1)) for _ in range(10_000)]
    assert 100 < sum(each is not None for each in admitted) < 1_000
