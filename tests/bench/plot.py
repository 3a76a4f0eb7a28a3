"""Plots as SVG, by matplotlib: ratios beside their goals, and how costs grow.

The same figures give the same bytes, text stays text, so that a page is small and can be read in a diff.
Can go wrong: matplotlib is not installed: ImportError, and the page is made without.
"""

import io
import re
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from tests.bench.figure import Figure, Verdict

COLOURS = {
    Verdict.PASS: "#2a7f62",
    Verdict.FAIL: "#c8553d",
    Verdict.EXPLAINED: "#b8860b",
    Verdict.NOISY: "#8a6fb0",
    Verdict.INFO: "#4a6fa5",
}
COLUMNS = 5
LINES = ("#2a7f62", "#4a6fa5", "#c8553d", "#b8860b", "#8a6fb0", "#6b6b6b")
STEPS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
mpl.rcParams.update(
    {"svg.fonttype": "none", "svg.hashsalt": "forkful", "font.size": 8, "path.simplify": True, "axes.titlesize": 8}
)


def ratios(figures: Sequence[Figure]) -> str:
    """A row for each ratio: the median, the worst and the best round, and a line at the goal. Empty without any."""
    shown = [figure for figure in figures if figure.unit == "x" and not figure.absent and figure.value > 0]
    if not shown:
        return ""
    canvas = Canvas(figsize=(9, 0.5 + 0.26 * len(shown)))
    axes = canvas.add_subplot()
    for row, figure in enumerate(reversed(shown)):
        colour = COLOURS[figure.verdict]
        low, high = figure.low or figure.value, figure.high or figure.value
        axes.plot([low, high], [row, row], color=colour, linewidth=3, alpha=0.4)
        axes.plot([figure.value], [row], "o", color=colour, markersize=5)
        if figure.target:
            axes.plot([figure.target] * 2, [row - 0.4, row + 0.4], color="#222222", linewidth=1.5)
    axes.set_xscale("log")
    axes.axvline(1.0, color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(shown)), [figure.what for figure in reversed(shown)])
    axes.set_xlabel("of the peer's (less is better); upright: the goal")
    _plain(axes)
    return _svg(canvas)


def curves(figures: Sequence[Figure], columns: int = COLUMNS) -> str:
    """A small panel for each curve, both axes logarithmic; empty without any."""
    shown = [figure for figure in figures if figure.points]
    if not shown:
        return ""
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    canvas = Canvas(figsize=(2.6 * columns, 2.1 * rows), layout="constrained")
    for number, figure in enumerate(shown):
        _curve(canvas.add_subplot(rows, columns, number + 1), figure)
    return _svg(canvas)


def _curve(axes: Axes, figure: Figure) -> None:
    points = [(x, y) for x, y in figure.points if y > 0]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    axes.plot(xs, ys, "o-", color=COLOURS[figure.verdict], markersize=3, linewidth=1.2)
    _scales(axes, xs)
    axes.set_ylim(min(ys) / 2, max(ys) * 2)
    lowest, highest = min(ys), max(ys)
    axes.set_yticks([lowest, highest] if highest > lowest * 1.3 else [highest])
    axes.yaxis.set_major_formatter(_short)
    axes.set_title(figure.what)
    axes.set_xlabel(figure.axes[0])
    axes.set_ylabel(figure.axes[1])
    _plain(axes)


def overview(parts: Mapping[str, Sequence[Figure]], columns: int = 3) -> str:
    """A panel for each section with all its curves, each over its own first point; the thin line is level."""
    canvas = Canvas(figsize=(3.1 * columns, 2.4 * -(-len(parts) // columns)), layout="constrained")
    for number, (title, figures) in enumerate(parts.items()):
        axes = canvas.add_subplot(-(-len(parts) // columns), columns, number + 1)
        shown = [figure for figure in figures if figure.points]
        if not shown:
            continue
        for figure, colour in zip(shown, LINES, strict=False):
            xs, ys = zip(*((x, y / figure.points[0][1]) for x, y in figure.points), strict=True)
            axes.plot(xs, ys, color=colour, linewidth=1.3, label=figure.what)
        _scales(axes, [x for x, _ in shown[0].points])
        lowest, highest = axes.get_ylim()
        axes.set_ylim(min(lowest, 0.4), max(highest, 4.0))
        axes.axhline(1.0, color="#bbbbbb", linewidth=0.6, zorder=0)
        axes.yaxis.set_major_formatter(_short)
        axes.set_title(title)
        axes.set_xlabel(shown[0].axes[0])
        axes.legend(fontsize=6, frameon=False, loc="upper left")
        _plain(axes)
    return _svg(canvas)


def _scales(axes: Axes, xs: Sequence[float]) -> None:
    """Both logarithmic; zero has its place before the rest."""
    if min(xs) > 0:
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=min(x for x in xs if x > 0))
    axes.set_yscale("log")
    every = max(1, len(xs) // 4)
    axes.set_xticks(xs[::-every])
    axes.xaxis.set_major_formatter(_short)


def _short(value: float, _position: object = None) -> str:
    """Three digits: 1.5k, 10M."""
    for step, letter in STEPS:
        if value >= step:
            return f"{value / step:.3g}{letter}"
    return f"{value:.3g}"


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.minorticks_off()
    axes.tick_params(length=2)
    axes.margins(x=0.05)


def _svg(canvas: Canvas) -> str:
    """Without the prolog, so that it can stand in a page; with numbers as short as can be seen."""
    written = io.StringIO()
    canvas.savefig(written, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    return re.sub(r"(\d+\.\d)\d+", r"\1", text)
