"""Elastic pools, as histories: load by load, the targets that follow."""

from collections.abc import Iterable

import pytest

from forkful.master.policy.autoscale import Load, Mark, Pulse, busy, resize


def play(
    busy: Iterable[int], *, start: int, least: int = 2, most: int = 8, lanes: int = 4, queued: int = 0
) -> list[int]:
    """Feed one look a second; return the target after each."""
    target, pulse, seen = start, Pulse(), []
    for second, lanes_busy in enumerate(busy):
        load = Load(target, lanes, min(lanes_busy, target * lanes), queued)
        target, pulse = resize(load, pulse, least=least, most=most, now=float(second))
        seen.append(target)
    return seen


def test_it_grows_by_half_while_crowded_up_to_the_limit() -> None:
    assert play([99] * 12, start=2)[-1] == 8
    assert play([99] * 3, start=4)[:2] == [4, 6]


def test_one_crowded_moment_changes_nothing() -> None:
    assert play([99, 0, 99, 0, 99, 0], start=2) == [2] * 6


def test_a_queue_is_crowded_even_if_lanes_look_idle() -> None:
    assert play([0] * 3, start=2, queued=5)[-1] > 2


def test_it_shrinks_by_one_only_after_a_long_calm() -> None:
    seen = play([0] * 70, start=8)
    assert seen[29] == 8
    assert (seen[30], seen[-1]) == (7, 6)


def test_it_never_leaves_its_limits() -> None:
    assert set(play([0] * 400, start=8)) == {2, 3, 4, 5, 6, 7, 8}
    assert play([0], start=50) == [8]
    assert play([0], start=0) == [2]


def test_a_steady_load_in_between_does_not_make_it_swing() -> None:
    assert set(play([8] * 300, start=4)) == {4}  # half of 16 lanes
    assert set(play([4] * 300, start=4)) <= {4, 3}  # a quarter: one less is still calm, and then it stays


@pytest.mark.parametrize(
    ("before", "after", "lanes"),
    [
        (None, Mark(10, 500), 0),
        (Mark(10, 500), Mark(12, 501), 0.5),
        (Mark(10, 500), Mark(12, 508), 4),
        (Mark(10, 500), Mark(12, 600), 4),
        (Mark(10, 500), Mark(12, 400), 0),
        (Mark(10, 500), Mark(12, 500, full=0.9), 3.6),
        (None, Mark(12, 500, full=1.0), 4),
        (Mark(10, 500), Mark(10, 501), 0),
    ],
    ids=[
        "a first look tells nothing",
        "one lane half the time",
        "all lanes all the time",
        "a request that ended at this very moment counts twice",
        "what was in flight died",
        "a loop that can take hardly any more connections",
        "a loop that takes none",
        "no time has passed",
    ],
)
def test_how_busy_a_worker_was_from_look_to_look(before: Mark | None, after: Mark, lanes: float) -> None:
    assert busy(before, after, 4) == pytest.approx(lanes)
