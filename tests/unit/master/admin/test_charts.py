"""Charts: lines where there are figures, gaps where there are none, and words for those who do not see them."""

import pytest

from forkful.master.admin.charts import HEIGHT, WIDTH, Axis, Frame, Line, chart, in_words, path
from forkful.master.model import format as as_text

FRAME = Frame(begin=1000.0, end=1900.0, period=5.0)
RATE = Axis("Requests", as_text.rate)


def line(*moments: tuple[float, float | None]) -> Line:
    return Line("ok", "main", moments)


@pytest.mark.parametrize(
    ("moments", "drawn"),
    [
        ([], ""),
        ([(1000.0, 0.0), (1005.0, 10.0)], f"M0.0 {HEIGHT - 1:.1f}L1.7 1.0"),
        ([(1895.0, 5.0), (1900.0, 5.0)], f"M298.3 {HEIGHT / 2:.1f}L{WIDTH:.1f} {HEIGHT / 2:.1f}"),
        ([(990.0, 5.0), (1000.0, 5.0)], f"M0.0 {HEIGHT / 2:.1f}"),
        ([(1000.0, 5.0), (1005.0, None), (1010.0, 5.0)], "M0.0 36.0M3.3 36.0"),
        ([(1000.0, 5.0), (1030.0, 5.0)], "M0.0 36.0M10.0 36.0"),
        ([(1000.0, 50.0)], "M0.0 1.0"),
    ],
    ids=[
        "nothing",
        "from floor to top",
        "up to now",
        "what is older is left out",
        "no figure",
        "a gap",
        "above the top",
    ],
)
def test_a_line_goes_where_its_figures_are(moments: list[tuple[float, float | None]], drawn: str) -> None:
    assert path(line(*moments), FRAME, top=10.0) == drawn


def test_it_says_in_words_what_it_shows() -> None:
    lines = [line((1000.0, 2.0), (1005.0, 4.0)), Line("failed", "third", [])]

    assert in_words(RATE, lines, FRAME) == (
        "Requests, last 15 minutes. ok now 4.0/s, highest 4.0/s, lowest 2.0/s; failed: nothing measured."
    )


def test_names_and_marks_are_text() -> None:
    evil = "<script>alert(1)</script>"
    frame = Frame(1000.0, 1900.0, 5.0, [(1200.0, "bad", evil), (10.0, "bad", "before")])
    drawn = chart(Axis(evil, as_text.rate), [Line(evil, "main", [(1000.0, 1.0)])], frame, alarm=True)

    assert "<script>" not in drawn
    assert drawn.count("<line ") == 1, "a mark outside the frame is not drawn"
    assert 'class="chart alarm"' in drawn
