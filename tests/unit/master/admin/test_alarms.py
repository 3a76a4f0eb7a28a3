"""The page is red where an alert would fire: the same names, the same conditions."""

import re
from pathlib import Path

import pytest

from forkful.master.admin import alarms
from forkful.master.admin.history import Point
from forkful.master.admin.status import PoolStatus, document
from forkful.master.admin.view import Viewer
from forkful.worker.ipc.scoreboard import Scoreboard
from tests.kit.fake_master import Known

RULES = Path(__file__).parents[4] / "deploy/prometheus/forkful.rules.yml"
GOOD = Point(
    at=0, ok=10.0, failed=0.0, other=0.0, saturation=0.3, queue=0, limit=128, memory=1, percentiles=(0.1, 0.2, 0.3)
)


def healthy() -> PoolStatus:
    board = Scoreboard()
    pool = document(Viewer(Known(), board).take(), board)["pools"][0]
    pool["lanes"] = 32
    pool["listeners"][0]["queue"] = 0
    return pool


def alerts(pool: PoolStatus, points: list[Point]) -> list[str]:
    return [each.alert for each in alarms.of_pool(pool, points)]


def test_a_healthy_pool_is_not_red() -> None:
    assert alerts(healthy(), [GOOD] * 60) == []
    assert alerts(healthy(), []) == []


def test_all_lanes_busy_with_a_queue_is_red_and_without_one_is_not() -> None:
    pool: PoolStatus = {**healthy(), "lanes_busy": 32}
    assert alerts(pool, [GOOD]) == []

    pool["listeners"][0]["queue"] = 1
    assert alerts(pool, [GOOD]) == ["ForkfulSaturated"]


@pytest.mark.parametrize(
    ("point", "alert"),
    [
        (GOOD._replace(saturation=0.95), "ForkfulSaturated"),
        (GOOD._replace(failed=1.0), "ForkfulErrors"),
    ],
)
def test_what_went_on_for_minutes_is_red(point: Point, alert: str) -> None:
    assert alerts(healthy(), [point] * 60) == [alert]
    assert alerts(healthy(), [*[GOOD] * 59, GOOD._replace(ok=0.0)]) == [], "a moment is not"


def test_missing_workers_a_crash_loop_and_a_full_queue_are_red() -> None:
    pool: PoolStatus = {**healthy(), "target": 3, "throttled_for": 2.0}
    pool["listeners"][0]["queue"] = 120
    found = alerts(pool, [GOOD])

    assert found == ["ForkfulWorkersMissing", "ForkfulWorkersDying", "ForkfulListenQueueFilling"]


def test_their_names_are_those_of_the_rules() -> None:
    known = set(re.findall(r"alert: (\w+)", RULES.read_text()))
    source = Path(alarms.__file__).read_text()

    assert set(re.findall(r'Alarm\("(\w+)"', source)) <= known
