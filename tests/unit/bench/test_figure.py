"""Medians, ratios, verdicts and the lines of the table."""

import pytest

from tests.bench.figure import Figure, Ratio, Verdict, halves, ratio
from tests.bench.table import line, number


def test_the_ratio_is_of_medians_and_the_spread_is_of_single_rounds() -> None:
    found = ratio([10, 12, 90], [10, 10, 30])
    assert found.value == pytest.approx(1.2)
    assert (found.low, found.high) == (1.0, 3.0)


def test_contenders_must_have_run_in_the_same_rounds() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1, 2], [1])


QUIET, UNEVEN, APART = Ratio(1.01, 0.95, 1.06), Ratio(1.0, 0.8, 1.2), Ratio(0.94, 0.93, 0.96)


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure("at the target", 1.2, target=1.2), Verdict.PASS),
        (Figure("above", 1.21, target=1.2), Verdict.FAIL),
        (Figure("nothing was asked", 1.21), Verdict.INFO),
        (Figure("zero is a target", 1, target=0), Verdict.FAIL),
        (Figure("fast by losing replies", 1, target=2, faults="3 reset"), Verdict.FAIL),
        (Figure("on a quiet machine", 1, target=2, control=QUIET), Verdict.PASS),
        (Figure("missed on a quiet machine", 3, target=2, control=QUIET), Verdict.FAIL),
        (Figure("the rounds differ by half", 1, target=2, control=UNEVEN), Verdict.NOISY),
        (Figure("it differs from itself", 3, target=2, control=APART), Verdict.NOISY),
        (Figure("noise needs no verdict", 3, control=APART), Verdict.INFO),
        (Figure("noise loses no replies", 1, target=2, control=APART, faults="3 reset"), Verdict.FAIL),
        (Figure("missed with a reason", 3, target=2, reason="the kernel's"), Verdict.EXPLAINED),
        (Figure("a reason does not help noise", 3, target=2, reason="so", control=APART), Verdict.NOISY),
        (Figure("no peer here", target=2, absent="pip install"), Verdict.ABSENT),
    ],
    ids=lambda value: value.what if isinstance(value, Figure) else value.value,
)
def test_verdict(figure: Figure, verdict: Verdict) -> None:
    assert figure.verdict is verdict
    assert figure.record()["verdict"] == verdict.value


def test_a_line_has_target_value_spread_verdict_aim_and_faults() -> None:
    text = line(Figure("sync / bare loop", 1.1, "x", 1.2, 1.15, 1.0, 1.25, "33.0 us / 30.0", faults="2 reset"))
    words = " ".join(text.split())
    assert words == "sync / bare loop <= 1.20 1.10 x 1.00 .. 1.25 FAIL aim 1.15 met 33.0 us / 30.0 2 reset"


def test_a_line_says_why_there_is_no_figure() -> None:
    assert line(Figure("Gunicorn", absent="pip install '.[bench]'")).endswith("not run: pip install '.[bench]'")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.087, "0.09"), (1.234, "1.23"), (31.84, "31.8"), (1776.4, "1776")]
)
def test_number_has_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_what_is_measured_again_and_again_is_its_own_control() -> None:
    assert halves([10, 20, 12, 20, 90]) == Ratio(0.55, 0.5, 0.6)  # the last has none beside it
    assert halves([10]) is None


def test_a_line_shows_its_control() -> None:
    assert "(itself 0.94, 0.93 .. 0.96)" in line(Figure("ours", 3, target=2, control=APART))
