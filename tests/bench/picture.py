"""The picture of the balance: bars of each worker's share as SVG, a row per server, a column per arrival. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

TITLE = "Long-lived connections over four workers"
LEFT, TOP, WIDTH, HEIGHT = 190, 92, 170, 78  # of the names, of the titles, of a panel
GAP, BOTTOM = 34, 54
FONT = "font-family='DejaVu Sans, Helvetica, Arial, sans-serif'"
HALO = "stroke='white' stroke-width='3' paint-order='stroke'"  # readable on top of a line
GOOD, BAD, INK, PALE = "#2a7f62", "#c8553d", "#222222", "#6b6b6b"


@dataclass(frozen=True, slots=True)
class Panel:
    """Connections per worker, the most loaded first."""

    title: str
    shares: Sequence[int]


@dataclass(frozen=True, slots=True)
class Row:
    """One server's panels."""

    name: str
    panels: Sequence[Panel]


def draw(rows: Sequence[Row], limit: float) -> str:
    """The whole picture. Bars beyond `limit` times the fair share are red."""
    columns = max(len(row.panels) for row in rows)
    width = LEFT + columns * (WIDTH + GAP)
    height = TOP + len(rows) * (HEIGHT + GAP) + BOTTOM
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}'",
            f" role='img'><title>{TITLE}</title>",
            f"<rect width='{width}' height='{height}' fill='white'/>",
            _text(20, 32, TITLE, 18, weight="bold"),
            _text(20, 54, "connections of each worker, the worst round; grey line: the fair share", 12, PALE),
            *_titles(rows[0]),
            *(line for number, row in enumerate(rows) for line in _row(number, row, limit)),
            *_legend(height - 22, limit),
            "</svg>\n",
        ]
    )


def _titles(row: Row) -> Iterator[str]:
    for number, panel in enumerate(row.panels):
        yield _text(_x(number) + WIDTH / 2, TOP - 10, panel.title, 13, anchor="middle", weight="bold")


def _row(number: int, row: Row, limit: float) -> Iterator[str]:
    top = TOP + number * (HEIGHT + GAP) + 14
    yield _text(LEFT - 18, top + HEIGHT / 2 + 5, row.name, 13, anchor="end")
    for column, panel in enumerate(row.panels):
        yield from _panel(_x(column), top, panel, limit)


def _panel(x: float, top: float, panel: Panel, limit: float) -> Iterator[str]:
    """Bars as high as their part of all connections: a worker with all of them fills the panel."""
    total, count = sum(panel.shares), len(panel.shares)
    step = WIDTH / count
    base = top + HEIGHT
    fair = base - HEIGHT / count
    labels = []
    for index, share in enumerate(panel.shares):
        tall = HEIGHT * share / total
        colour = BAD if share * count / total > limit else GOOD
        left, wide = x + index * step + 5, step - 10
        yield f"<rect x='{left:.1f}' y='{base - tall:.1f}' width='{wide:.1f}' height='{tall:.1f}' fill='{colour}'/>"
        labels.append(_text(left + wide / 2, base - tall - 4, str(share), 11, anchor="middle"))
    yield f"<line x1='{x}' x2='{x + WIDTH}' y1='{fair:.1f}' y2='{fair:.1f}' stroke='{PALE}' stroke-dasharray='4 3'/>"
    yield f"<line x1='{x}' x2='{x + WIDTH}' y1='{base}' y2='{base}' stroke='{INK}'/>"
    yield from labels


def _legend(y: float, limit: float) -> Iterator[str]:
    for x, colour, words in ((LEFT, GOOD, "at most"), (LEFT + 250, BAD, "more than")):
        yield f"<rect x='{x}' y='{y - 10}' width='12' height='12' fill='{colour}'/>"
        yield _text(x + 18, y, f"{words} {limit:g} times the fair share", 12)


def _x(column: int) -> float:
    return LEFT + column * (WIDTH + GAP)


def _text(  # a line of text has a place, a size and a colour
    x: float, y: float, words: str, size: int, fill: str = INK, *, anchor: str = "start", weight: str = "normal"
) -> str:
    style = f"{FONT} font-size='{size}' fill='{fill}' text-anchor='{anchor}' font-weight='{weight}' {HALO}"
    return f"<text x='{x:.1f}' y='{y:.1f}' {style}>{escape(words)}</text>"
