"""Sparklines: as many bars as fit, the newest on the right."""

import pytest
from rich.console import Console

from forkful.master.cli.sparklines import BARS, sparkline, trends


@pytest.mark.parametrize(
    ("figures", "width", "top", "drawn"),
    [
        ([], 4, None, ""),
        ([0, 0], 4, None, "▁▁"),
        ([0, 7, 14], 4, None, "▁▅█"),
        ([1.0, None, 1.0], 4, None, "█ █"),
        ([0.5], 4, 1.0, "▅"),
        ([9, 1, 1, 1, 1, 8, 0], 4, None, "█▂▂▇"),
        ([50.0], 4, 1.0, "█"),
    ],
    ids=["nothing", "zeros", "floor to top", "no figure", "a fixed top", "more than fit: the highest", "above the top"],
)
def test_figures_become_bars(figures: list[float | None], width: int, top: float | None, drawn: str) -> None:
    assert sparkline(figures, width, top) == drawn
    assert len(drawn) <= width


def test_pools_names_are_text_and_what_says_nothing_is_left_out() -> None:
    lines = {"ok": [1.0, 2.0], "failed": [0.0, 0.0], "p95": [None, None], "memory": [10, 20]}
    console = Console(width=100)
    with console.capture() as captured:
        console.print(trends({"pools": {"ma\x1b[2Jin": lines}}))
    text = captured.get()

    assert "\x1b[2J" not in text
    assert "requests" in text
    assert "memory" in text
    assert "failed" not in text
    assert "p95" not in text
    assert any(bar in text for bar in BARS)


def test_a_service_without_a_history_has_no_lines() -> None:
    assert trends({}).row_count == 0
