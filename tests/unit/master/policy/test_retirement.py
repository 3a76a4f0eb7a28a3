"""Who retires for age or memory."""

from forkful.master.model.fleet import Reason
from forkful.master.policy.retirement import SAMPLES, SPREAD, Worn, judge

MB = 1 << 20


def test_age_retires_within_the_spread_and_tells_when() -> None:
    for token in range(1, 50):
        _, _, end = judge([Worn(token, ready_at=0.0, max_age=100.0)], now=50.0)
        assert 100 * (1 - SPREAD) <= end <= 100 * (1 + SPREAD)
        assert judge([Worn(token, ready_at=0.0, max_age=100.0)], now=end)[0] == {token: Reason.MAX_AGE}


def test_workers_of_one_moment_do_not_end_at_one_moment() -> None:
    ends = {judge([Worn(token, ready_at=0.0, max_age=100.0)], now=0.0)[2] for token in range(1, 9)}
    assert len(ends) == 8


def test_memory_must_be_beyond_in_several_samples_in_a_row() -> None:
    beyond = 0
    history = [300, 300, 100, 300, 300, 300]
    verdicts = []
    for rss in history:
        used, counts, _ = judge([Worn(1, 0.0, max_rss=200 * MB, rss=rss * MB, beyond=beyond)], now=0.0)
        beyond = counts[1]
        verdicts.append(1 in used)
    assert SAMPLES == 3
    assert verdicts == [False, False, False, False, False, True]


def test_without_limits_nobody_retires() -> None:
    assert judge([Worn(1, 0.0, rss=10**12)], now=1e9) == ({}, {}, float("inf"))
