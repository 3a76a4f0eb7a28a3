"""The history behind the charts: what happened between samples, marks, and that it stays small."""

import pytest

from forkful.master.admin import history
from forkful.master.admin.history import MAX_MARKS, MAX_POOLS, MAX_TEXT, PERIOD, SAMPLES, History, quantile
from forkful.master.admin.status import PoolStatus, Status, document
from forkful.master.admin.view import Viewer
from forkful.master.model.facts import Reload
from forkful.worker.ipc.scoreboard import BOUNDS, Scoreboard
from tests.kit.fake_master import Known

EMPTY = [0] * (len(BOUNDS) + 1)


@pytest.fixture
def now() -> Status:
    board = Scoreboard()
    return document(Viewer(Known(), board).take(), board)


def later(before: Status, seconds: float, **pool: object) -> Status:
    """The same service some seconds later, its pool with other figures."""
    changed: PoolStatus = {**before["pools"][0], **pool}  # type: ignore[typeddict-item]  # what a test names
    return {**before, "at": before["at"] + seconds, "pools": [changed]}


def failure(before: Status, at: float, message: str, traceback: str) -> Reload:
    return {
        **before["reload"],
        "successful": False,
        "finished_at": at,
        "message": message,
        "traceback": traceback,
    }


def counts(**by_place: int) -> list[int]:
    """Buckets of the histogram: `b3=10` puts ten into the fourth."""
    found = [*EMPTY]
    for place, count in by_place.items():
        found[int(place[1:])] = count
    return found


def test_a_point_is_what_happened_between_two_samples(now: Status) -> None:
    record = History()
    first = later(now, 0, requests={"ok": 100, "error": 5, "reset": 1}, busy_seconds=10.0, lanes=4, buckets=EMPTY)
    second = later(
        first, 5, requests={"ok": 150, "error": 10, "reset": 3, "lost": 5}, busy_seconds=20.0, buckets=counts(b3=57)
    )
    record.observe(first)
    record.observe(second)

    (point,) = record.points("main")
    assert (point.ok, point.failed, point.other) == pytest.approx((10, 2, 0.4))
    assert point.saturation == pytest.approx(10 / (5 * 4))
    assert all(BOUNDS[2] < (each or 0) <= BOUNDS[3] for each in point.percentiles)


def test_nothing_ended_has_no_percentiles(now: Status) -> None:
    record = History()
    record.observe(now)
    record.observe(later(now, 5))

    assert record.points("main")[0].percentiles == (None, None, None)


def test_a_pool_that_began_anew_makes_no_negative_rate(now: Status) -> None:
    record = History()
    for number, ok in enumerate((100, 200, 3, 8)):
        record.observe(later(now, number * 5, requests={"ok": ok}))

    assert [point.ok for point in record.points("main")] == [1.0]


def test_an_idle_service_is_told_as_idle_until_now(now: Status) -> None:
    record = History()
    record.observe(now)
    record.repeat(now["at"] + 5)
    record.repeat(now["at"] + 10)

    assert [(point.at, point.ok) for point in record.points("main")] == [(now["at"] + 5, 0), (now["at"] + 10, 0)]


@pytest.mark.parametrize(
    ("q", "buckets", "seconds"),
    [
        (0.5, EMPTY, None),
        (0.5, counts(b0=10), BOUNDS[0] / 2),
        (1.0, counts(b0=10), BOUNDS[0]),
        (0.5, counts(b2=10, b5=10), BOUNDS[2]),
        (0.75, counts(b2=10, b5=10), (BOUNDS[4] + BOUNDS[5]) / 2),
        (0.99, counts(b17=10), BOUNDS[-1]),
    ],
    ids=["nothing", "inside the first", "its end", "between two", "inside a later one", "above the last bound"],
)
def test_quantiles_are_those_of_prometheus(q: float, buckets: list[int], seconds: float | None) -> None:
    assert quantile(q, buckets) == (None if seconds is None else pytest.approx(seconds))


def test_reloads_generations_and_deaths_are_marked(now: Status) -> None:
    failed = later(now, 5, exits={"crash": 3, "boot_failed": 1, "reload": 9})
    failed["reload"] = failure(now, now["at"] + 4, "no", "T")
    served: Status = {**later(failed, 5), "generation": 4, "reload": {**now["reload"], "success_at": now["at"] + 9}}

    first = [(mark.kind, mark.at, mark.traceback) for mark in history.marks(now, failed)]
    assert first == [("reload", now["at"] + 4, "T"), ("death", failed["at"], ""), ("death", failed["at"], "")]
    assert [mark.text for mark in history.marks(failed, served)] == ["generation 4 serves"]
    assert list(history.marks(None, failed)) == [], "what was before the first look did not happen just now"


def test_it_never_grows_beyond_its_bounds(now: Status) -> None:
    record = History()
    for number in range(SAMPLES + 20):
        document = later(now, number * PERIOD)
        document["pools"] = [{**now["pools"][0], "name": f"p{each}"} for each in range(MAX_POOLS + 5)]
        text = "x" * 3 * MAX_TEXT
        document["reload"] = failure(now, number, text, text)
        record.observe(document)

    assert len(record.points("p0")) == SAMPLES - 1
    assert record.points(f"p{MAX_POOLS}") == []
    marks = record.marks(0)
    assert len(marks) == MAX_MARKS
    assert max(len(mark.text) + len(mark.traceback) for mark in marks) < 3 * MAX_TEXT


def test_a_pool_that_is_gone_is_forgotten(now: Status) -> None:
    record = History()
    record.observe(now)
    record.observe({**now, "at": now["at"] + 5, "pools": []})

    assert record.document()["pools"] == {}
