"""Sparklines: the service's last fifteen minutes as lines of small bars, for `forkful top`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from forkful.master.model import format as as_text

BARS: Final = "▁▂▃▄▅▆▇█"
WIDTH: Final = 24  # characters of one line

Figures = Sequence[float | None]
#: Title, the figures in /history.json, how to write one, and the top where it is fixed.
COLUMNS: Final[tuple[tuple[str, str, Callable[[float], str], float | None], ...]] = (
    ("requests", "ok", as_text.rate, None),
    ("failed", "failed", as_text.rate, None),
    ("p95", "p95", as_text.duration, None),
    ("busy", "saturation", as_text.share, 1.0),
    ("queue", "queue", as_text.number, None),
    ("memory", "memory", as_text.size, None),
)


def sparkline(figures: Figures, width: int = WIDTH, top: float | None = None) -> str:
    """The figures as at most `width` bars, the newest on the right; a space where there was no figure."""
    columns = _columns(figures, width)
    highest = top or max((each for each in columns if each is not None), default=0.0)
    return "".join(_bar(each, highest) for each in columns)


def _columns(figures: Figures, width: int) -> list[float | None]:
    """One figure for each column: the highest of those that fall into it."""
    step = max(1, -(-len(figures) // width))
    begin = len(figures) % step  # so that the newest column is a full one
    pieces = [figures[:begin]] * bool(begin) + [figures[at : at + step] for at in range(begin, len(figures), step)]
    return [max((each for each in piece if each is not None), default=None) for piece in pieces]


def _bar(figure: float | None, top: float) -> str:
    if figure is None:
        return " "
    part = min(1.0, max(0.0, figure / top)) if top else 0.0
    return BARS[round(part * (len(BARS) - 1))]


def trends(history: Mapping[str, Any]) -> Table:  # Any: what JSON gives
    """A line for each pool and figure that has something to show."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for pool, lines in history.get("pools", {}).items():
        for title, key, show, top in COLUMNS:
            figures = lines.get(key, [])
            known = [each for each in figures if each is not None]
            if known and (any(known) or key == "ok"):
                now = "-" if figures[-1] is None else show(figures[-1])
                table.add_row(
                    Text(as_text.plain(pool), "bold"),
                    Text(title),
                    Text(sparkline(figures, top=top), _style(key)),
                    Text(f"{now}, at most {show(max(known))}", "dim"),
                )
    return table


def _style(key: str) -> str:
    return "red" if key == "failed" else "cyan"
