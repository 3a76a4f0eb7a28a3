"""The throttle, as a table and as the promise it has to keep."""

import pytest

from forkful.master.policy.throttle import LONGEST, Strikes, is_young, strike


def starts_within(seconds: float, dice: float) -> int:
    """How often a slot is started in this time when every start dies at once, before it is ready."""
    now, starts, strikes = 0.0, 0, Strikes()
    while now < seconds:
        starts += 1
        strikes = strike(strikes, was_ready=False, now=now, dice=dice)
        now = strikes.not_before
    return starts


@pytest.mark.parametrize("dice", [0.0, 0.5, 0.999])
def test_at_most_ten_starts_in_the_first_thirty_seconds(dice: float) -> None:
    assert 5 <= starts_within(30, dice) <= 10


def test_the_first_death_of_a_worker_that_was_ready_is_answered_at_once() -> None:
    assert strike(Strikes(), was_ready=True, now=5.0, dice=0.5).not_before == 5.0


def test_a_worker_that_dies_again_and_again_after_it_was_ready_is_throttled_too() -> None:
    strikes = Strikes()
    for _ in range(12):
        strikes = strike(strikes, was_ready=True, now=0.0, dice=0.5)
    assert strikes.not_before == pytest.approx(LONGEST)


def test_jitter_spreads_slots() -> None:
    early, late = (strike(Strikes(), was_ready=False, now=0.0, dice=dice).not_before for dice in (0.0, 0.99))
    assert early < late


def test_a_healthy_minute_forgives() -> None:
    assert is_young(ready_at=10.0, now=69.0)
    assert not is_young(ready_at=10.0, now=70.0)
    assert is_young(ready_at=float("inf"), now=1e9)
