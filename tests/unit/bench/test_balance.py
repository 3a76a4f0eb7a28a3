"""Shares of connections, and the picture of them."""

from xml.etree import ElementTree as ET

import pytest

from tests.bench.balance import peak, shares
from tests.bench.crowd import CrowdError
from tests.bench.picture import BAD, GOOD, Panel, Row, draw


def test_shares_are_counted_per_process_and_one_that_got_nothing_has_a_share_too() -> None:
    assert shares([7, 8, 7, 9, 7, 8]) == [3, 2, 1, 0]


def test_more_processes_than_workers_are_a_mistake() -> None:
    with pytest.raises(CrowdError, match="5 processes"):
        shares([1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("counts", "value"), [([100, 100, 100, 100], 1.0), ([287, 62, 48, 3], 2.87), ([20, 0, 0, 0], 4)]
)
def test_peak_is_the_biggest_share_over_the_fair_one(counts: list[int], value: float) -> None:
    assert peak(counts) == pytest.approx(value)


def test_the_picture_has_a_bar_per_worker_and_shows_who_has_too_many() -> None:
    rows = [Row("<ours>", [Panel("at once", [101, 100, 100, 99])]), Row("theirs", [Panel("at once", [287, 62, 48, 3])])]
    root = ET.fromstring(draw(rows, 1.5))  # well-formed
    bars = [bar for bar in root.iter("{http://www.w3.org/2000/svg}rect") if bar.get("height") not in ("12", None)]
    assert [bar.get("fill") for bar in bars[1:]] == [GOOD] * 4 + [BAD] + [GOOD] * 3
    words = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "<ours>" in words
    assert "287" in words
