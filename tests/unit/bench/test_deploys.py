"""The order of deploys, and what is a complaint about them."""

from tests.bench.deploys import TROUBLE, Report, plan, troubles
from tests.bench.load import Outcome

QUIET = dict.fromkeys(TROUBLE, 0)


def test_upgrades_are_spread_among_the_reloads() -> None:
    steps = list(plan(20, 5))
    assert (steps.count("reload"), steps.count("upgrade")) == (20, 5)
    assert [number for number, step in enumerate(steps) if step == "upgrade"] == [4, 9, 14, 19, 24]


def test_upgrades_alone() -> None:
    assert list(plan(0, 2)) == ["upgrade", "upgrade"]


def test_nothing_to_complain_about() -> None:
    report = Report(outcomes={"kept": Outcome(10, 10, 1.0, {}, 1.0, 1.0)})
    report.judge(QUIET, 0)
    assert report.complaints == []
    assert "0 of each of econ" in str(report)


def test_what_the_proxy_hides_is_a_complaint_too() -> None:
    report = Report(outcomes={"kept": Outcome(10, 9, 1.0, {"status": 1}, 1.0, 1.0)})
    report.judge(QUIET | {"wretr": 2}, 1)
    assert report.complaints == [
        "kept: wrk met {'status': 1}",
        "HAProxy counted 2 wretr",
        "forkful counted 1 requests that did not end well",
    ]


def test_empty_counters_are_zero() -> None:
    rows = [dict.fromkeys(TROUBLE, ""), dict.fromkeys(TROUBLE, "") | {"wredis": "3"}]
    assert troubles(rows) == QUIET | {"wredis": 3}
