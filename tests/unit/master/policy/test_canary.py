"""Canaries: histories of counts, and what is made of them; the tests beside scipy's; a few simulated deploys."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from forkful.master.policy import canary
from forkful.master.policy.canary import LOOKS, Bounds, Cause, Durations, Pair, Side, judge
from forkful.worker.ipc.scoreboard import BOUNDS
from tests.bench.canary import BASE, Fault, deploy

MIB = 2**20
BOUND = Bounds()


def took(seconds: float, count: int) -> Durations:
    """So many requests that all took so long."""
    buckets = [0] * (len(BOUNDS) + 1)
    buckets[sum(bound < seconds for bound in BOUNDS)] = count
    return Durations(seconds * count, tuple(buckets))


def side(requests: int = 1000, failed: int = 0, seconds: float = 0.01, **more: Any) -> Side:  # Any: its other fields
    """Of one that is well."""
    whole = Side(
        requests, failed, seconds=requests * seconds, late=took(seconds, requests), served=60, resident=50 * MIB
    )
    return replace(whole, **more)


def cause(
    new: Side, old: Side | None = None, *, progress: float = 1.0, big: int = 0, bounds: Bounds = BOUND
) -> Cause | None:
    found = judge({"main": Pair(old or side(9000, served=540.0), new, big)}, bounds, BOUNDS, progress)
    return found.cause if found is not None else None


# -- histories -----------------------------------------------------------------------------------------------------


def test_what_is_no_worse_is_followed() -> None:
    assert cause(side()) is None
    assert cause(side(failed=9), side(9000, failed=81)) is None
    assert cause(side(requests=0, seconds=0.0)) is None


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (side(failed=60), side(9000, failed=90), Cause.ERRORS),
        (side(failed=15), side(9000, failed=90), None),  # within the bound of one in a hundred
        (side(60, failed=60), side(540), Cause.ERRORS),
        (side(49, failed=49), side(540), None),  # too few to tell
        (side(1000, failed=1000), side(49), None),
        (side(100, failed=3), side(900, failed=9), None),  # may be chance
        (side(1000, failed=100), side(9000, failed=900), None),  # an outage behind both
        (side(stuck=20), side(9000), Cause.STUCK),
        (side(0, stuck=4, seconds=0.0), side(9000), Cause.STUCK),  # it has not answered once
        (side(stuck=20), side(9000, stuck=180), None),  # they wait on purpose
        (side(seconds=0.02), side(9000), Cause.LATENCY),
        (side(seconds=0.014), side(9000), None),
        (side(seconds=0.0101), side(9000, seconds=0.0099), None),  # in another bucket, and no slower
        (side(49, seconds=1.0), side(9000), None),
        (side(deaths=5), side(9000, served=540.0), Cause.DEATHS),
        (side(deaths=1), side(9000, served=540.0), None),
        (side(deaths=4), side(9000, deaths=36, served=540.0), None),  # somebody kills all of them
        (side(deaths=3, row=3), side(9000, deaths=2, row=2, served=60.0), Cause.DEATHS),
        (side(deaths=3, row=3), side(9000, deaths=3, row=3, served=60.0), None),
    ],
)
def test_what_is_worse_beyond_chance_and_bounds_has_to_go(new: Side, old: Side, expected: Cause | None) -> None:
    assert cause(new, old) is expected


def test_slowness_that_a_bucket_hides_is_seen_once_there_are_enough() -> None:
    """11 and 24 ms are in one bucket."""
    assert cause(side(50_000, seconds=0.024), side(450_000, seconds=0.011)) is Cause.LATENCY


def test_a_single_request_that_takes_for_ever_is_no_slowness() -> None:
    new = side(200)
    one = Durations(new.late.seconds + 300, (*new.late.buckets[:-1], 1))

    assert cause(replace(new, late=one)) is None


def test_a_tail_of_slow_requests_is_seen_although_most_are_as_fast_as_before() -> None:
    new = side(10_000)
    tail = took(2.0, 300)
    late = Durations(
        new.late.seconds + tail.seconds, tuple(a + b for a, b in zip(new.late.buckets, tail.buckets, strict=True))
    )

    assert cause(replace(new, late=late)) is Cause.LATENCY


@pytest.mark.parametrize(
    ("new", "big", "early"),
    [
        (side(seconds=0.1), 0, None),
        (side(stuck=20), 0, None),
        (side(resident=200 * MIB), 3, None),
        (side(failed=100), 0, Cause.ERRORS),
        (side(deaths=5), 0, Cause.DEATHS),
    ],
)
def test_new_process_may_be_slow_and_big_at_first_but_not_fail(new: Side, big: int, early: Cause | None) -> None:
    assert cause(new, progress=0.4, big=big) is early
    assert cause(new, progress=0.5, big=big) is not None


@pytest.mark.parametrize(
    ("new", "old", "bigger"),
    [
        (100, 50, True),
        (74, 50, False),
        (20, 10, False),  # that is no matter
        (200, 0, False),  # nobody to compare with
        (0, 50, False),
    ],
)
def test_memory_is_compared_by_share_and_by_size(new: int, old: int, bigger: bool) -> None:
    assert canary.is_bigger(Pair(Side(resident=old * MIB), Side(resident=new * MIB)), BOUND) is bigger


def test_memory_has_to_be_too_much_in_several_looks() -> None:
    assert [cause(side(resident=200 * MIB), big=big) for big in (1, 2, 3)] == [None, None, Cause.MEMORY]


def test_bounds_of_the_settings_are_heeded() -> None:
    assert cause(side(failed=60), bounds=Bounds(errors=0.1)) is None
    assert cause(side(seconds=0.03), bounds=Bounds(latency=3.0)) is None
    assert cause(side(49, failed=49), bounds=Bounds(requests=20)) is Cause.ERRORS
    assert cause(side(resident=200 * MIB), big=3, bounds=Bounds(memory=4.0)) is None


def test_worst_pool_decides_and_is_named() -> None:
    pools = {"good": Pair(side(9000), side()), "bad": Pair(side(9000), side(failed=500))}
    worse = judge(pools, BOUND, BOUNDS, 1.0)

    assert str(worse) == "pool bad: 50.0% of 1000 requests failed, of the old workers' 9000 0.0%"


def test_lack_of_requests_is_told_by_pool() -> None:
    pools = {"much": Pair(side(9000), side()), "little": Pair(side(20), side(3))}
    quiet = {"late": Pair(side(9000), replace(side(100), late=took(0.01, 4)))}

    assert [*canary.thin(pools, BOUND)] == [
        "pool little had too few requests to compare (3 new, 20 old; canary_requests is 50)"
    ]
    assert "requests in its second half to compare (4 new, 9000 old" in next(canary.thin(quiet, BOUND))


@pytest.mark.parametrize(
    ("said", "target", "seats"),
    [
        ("1", 4, 1),
        ("10%", 4, 1),
        ("10%", 11, 2),
        ("50%", 4, 2),
        ("100%", 4, 3),
        ("9", 4, 3),
        ("1", 1, 1),
        ("1", 2, 1),
        ("50%", 0, 0),
    ],
)
def test_canaries_are_never_all_unless_there_is_only_one(said: str, target: int, seats: int) -> None:
    assert canary.seats(said, target) == seats


def test_looks_are_dense_at_first_and_the_last_is_the_end() -> None:
    gaps = [after - before for before, after in pairwise((0.0, *LOOKS))]

    assert LOOKS[-1] == 1.0
    assert len(LOOKS) == 20
    assert LOOKS[0] < 0.001
    assert all(b >= a * 0.99 for a, b in pairwise(gaps[1:11]))
    assert canary.next_look(0.0) == LOOKS[0]
    assert canary.next_look(0.95) == canary.next_look(1.0) == 1.0


# -- the tests, beside an oracle -----------------------------------------------------------------------------------

#: What scipy 1.17 says: `fisher_exact([[a, n - a], [b, m - b]], alternative="greater").pvalue`.
FISHER = {
    (8, 10, 1, 6): 0.024475524475524483,
    (3, 50, 2, 450): 0.008171937992569605,
    (10, 100, 5, 900): 1.281904403677543e-07,
    (50, 1000, 300, 9000): 0.005898626049713127,
    (1, 1, 0, 5000): 0.00019996000799840029,
    (7, 60, 60, 600): 0.4087590336131154,
    (2000, 100000, 15000, 900000): 2.3186980580304107e-14,
}
#: And `binomtest(new, new + old, part, alternative="greater").pvalue`.
BINOMIAL = {
    (2, 0, 0.1): 0.01,
    (4, 1, 0.1): 0.00046,
    (3, 0, 0.5): 0.125,
    (13, 0, 0.5): 0.0001220703125,
    (5, 20, 0.1): 0.09799362119546479,
    (40, 100, 0.2): 0.009532159881992793,
}
NORMAL = {1: 0.15865525393145707, 2: 0.022750131948179195, 3.66: 0.00012610762413848634, 5: 2.866515718791933e-07}


@pytest.mark.parametrize(("counts", "expected"), FISHER.items())
def test_fisher_is_scipys(counts: tuple[int, int, int, int], expected: float) -> None:
    assert canary.fisher(*counts) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("counts", "expected"), BINOMIAL.items())
def test_binomial_test_is_scipys(counts: tuple[int, int, float], expected: float) -> None:
    assert canary.rates_differ(*counts) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("z", "expected"), NORMAL.items())
def test_tail_of_the_normal_distribution_is_scipys(z: float, expected: float) -> None:
    assert canary.above(z * 3.0, 9.0) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("counts", [(0, 10, 0, 10), (0, 0, 0, 0), (0, 10, 5, 10), (5, 10, 5, 10)])
def test_no_more_than_its_part_is_no_sign_of_anything(counts: tuple[int, int, int, int]) -> None:
    assert canary.fisher(*counts) == 1.0


def test_great_numbers_cost_little_and_overflow_nothing() -> None:
    assert canary.fisher(10**8, 10**9, 10**8, 10**10) == 0.0
    assert 0 <= canary.fisher(500_100, 10**6, 5_000_000, 10**7) < 0.5
    assert math.isfinite(canary.rates_differ(10**6, 10**6, 0.4999))


# -- by simulation; all of it: python -m tests.bench canary ----------------------------------------------------------


def test_good_deploys_are_hardly_ever_sent_back() -> None:
    verdicts = [deploy(BASE, 2_000, seed) for seed in range(300)]

    assert sum(verdict.cause is not None for verdict in verdicts) <= 3


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("", errors=0.2), Cause.ERRORS),
        (Fault("", latency=8.0, errors=0.005), Cause.LATENCY),
        (Fault("", stuck=1.0), Cause.STUCK),
        (Fault("", memory=3.0, errors=0.005), Cause.MEMORY),
    ],
)
def test_deploys_that_are_bad_enough_are_caught_for_what_is_bad(fault: Fault, expected: Cause) -> None:
    verdicts = [deploy(fault, 4_000, seed) for seed in range(20)]

    assert {verdict.cause for verdict in verdicts} == {expected}
