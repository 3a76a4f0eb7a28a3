"""The vigil over requests in flight, as a table."""

import math

import pytest

from forkful.master.policy.overdue import Overdue, Watched, look, news

NOW = 1000.0


@pytest.mark.parametrize(
    ("crew", "overdue", "again"),
    [
        ([], [], math.inf),
        ([Watched(1, 30, ())], [], NOW + 30),
        ([Watched(1, 30, (NOW - 10,))], [], NOW + 20),
        ([Watched(1, 30, (NOW - 30,))], [Overdue(1, (NOW - 30,), 0)], NOW + 30),
        ([Watched(1, 30, (NOW - 40, NOW - 31, NOW - 5))], [Overdue(1, (NOW - 40, NOW - 31), 1)], NOW + 25),
        ([Watched(1, 30, (NOW - 40, NOW - 31), doomed=(NOW - 40,))], [Overdue(1, (NOW - 40, NOW - 31), 1)], NOW + 30),
        ([Watched(1, 30, (NOW - 40,), doomed=(NOW - 40,))], [Overdue(1, (NOW - 40,), 0)], NOW + 30),
        ([Watched(1, 30, (NOW - 31,), doomed=(NOW - 40,))], [Overdue(1, (NOW - 31,), 1)], NOW + 30),
        ([Watched(1, 30, (NOW - 40,), others=3)], [Overdue(1, (NOW - 40,), 3)], NOW + 30),
        ([Watched(1, 30, ()), Watched(2, 5, (NOW - 4.5,))], [], NOW + 0.5),
        ([Watched(1, 30, (), 5, blocked=NOW - 10)], [], NOW + 20),
        ([Watched(1, 30, (), blocked=NOW - 31)], [Overdue(1, (NOW - 31,), 0, blocked=True)], NOW + 30),
        ([Watched(1, 30, (NOW - 33,), blocked=NOW - 31)], [Overdue(1, (NOW - 33,), 0)], NOW + 30),
    ],
    ids=[
        "nobody",
        "idle",
        "in time",
        "exactly due",
        "some lanes late",
        "condemned for one, and another is late by now",
        "condemned, and nothing else is left",
        "condemned for what has ended meanwhile",
        "other connections",
        "the nearest deadline of all pools",
        "a loop that does not turn, in time",
        "a loop that does not turn, and no request",
        "a loop that does not turn for its request",
    ],
)
def test_look(crew: list[Watched], overdue: list[Overdue], again: float) -> None:
    assert look(crew, NOW) == (overdue, again)


@pytest.mark.parametrize(
    ("told", "new"),
    [
        ({}, {NOW - 40: 40.0, NOW - 31: 31.0}),
        ({NOW - 40: 30.0}, {NOW - 31: 31.0}),
        ({NOW - 40: 30.0, NOW - 31: 30.0}, {}),
        ({NOW - 40: 20.0, NOW - 31: 30.0}, {NOW - 40: 40.0}),
    ],
    ids=["all are new", "another one", "none", "twice as old"],
)
def test_overdue_request_is_told_once_and_again_when_twice_as_old(
    told: dict[float, float], new: dict[float, float]
) -> None:
    assert news(Overdue(1, (NOW - 40, NOW - 31), 0), told, NOW) == new
