"""The vigil over requests in flight, as a table."""

import math

import pytest

from forkful.master.vigil import Overdue, Watched, look

NOW = 1000.0


@pytest.mark.parametrize(
    ("crew", "overdue", "again"),
    [
        ([], [], math.inf),
        ([Watched(1, 30, ())], [], NOW + 30),
        ([Watched(1, 30, (NOW - 10,))], [], NOW + 20),
        ([Watched(1, 30, (NOW - 30,))], [Overdue(1, NOW - 30, 1, 0)], NOW + 30),
        ([Watched(1, 30, (NOW - 40, NOW - 31, NOW - 5))], [Overdue(1, NOW - 40, 2, 1)], NOW + 25),
        ([Watched(1, 30, (NOW - 40,), others=3)], [Overdue(1, NOW - 40, 1, 3)], NOW + 30),
        ([Watched(1, 30, ()), Watched(2, 5, (NOW - 4.5,))], [], NOW + 0.5),
    ],
    ids=[
        "nobody",
        "idle",
        "in time",
        "exactly due",
        "some lanes late",
        "other connections",
        "the nearest deadline of all pools",
    ],
)
def test_look(crew: list[Watched], overdue: list[Overdue], again: float) -> None:
    assert look(crew, NOW) == (overdue, again)
