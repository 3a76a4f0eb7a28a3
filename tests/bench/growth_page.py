"""The page of how costs grow: `deploy/reference/growth.md` and the picture beside it, made from a report.

python -m tests.bench report --section growth --write
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.bench.figure import Figure, Verdict
from tests.bench.server import ROOT
from tests.bench.table import number

if TYPE_CHECKING:
    from tests.bench.report import Report

PAGE = ROOT / "deploy" / "reference" / "growth.md"
PICTURE = PAGE.with_suffix(".svg")
PREFIX = "growth-"
INTRODUCTION = """\
# How costs grow

`python -m tests.bench report --section growth --write` measures this and writes this page, in about an hour and a half;
a single line is `--section growth-workers` and the like, `--long` adds ten million requests, `--quick` only shows that
it works.

A cost should stay level, whatever there is more of, or grow in proportion at most where that lies in the thing (memory
of workers, CPU of a body). Its slope on logarithmic axes says which: 0 is level, 1 is in proportion; it is taken of the
whole curve and of its last three points, and the steeper counts. A line that is steeper than its bound **bends
upward**, and has its reason beside it. CPU is of all processes of the service; requests come at a fixed rate far below
what a worker can do. "Itself" is what one pass over a curve differed by from the next: where that is too much (the
machine had other work), the line has no verdict.
"""
HEAD = "| cost | unit | smallest | biggest | slope | at most | itself | verdict |\n|---|---|---|---|---|---|---|---|"


def write(report: "Report") -> None:
    """Both files."""
    from tests.bench.plot import overview  # noqa: PLC0415 - matplotlib is only needed here

    parts = [part for part in report.parts if part.name.startswith(PREFIX)]
    PICTURE.write_text(overview({part.title: part.figures for part in parts}) + "\n")
    PAGE.write_text(page(report))


def page(report: "Report") -> str:
    return "\n".join(_lines(report)) + "\n"


def _lines(report: "Report") -> Iterator[str]:
    yield INTRODUCTION
    yield f"Measured {report.began}, {report.how}: {report.machine}.\n"
    if "quick" in report.how:
        yield "This was quick: fewer sizes than the titles say, and short. Measure anew.\n"
    yield f"![Each cost over its own at the smallest size]({PICTURE.name})"
    for part in report.parts:
        if not part.name.startswith(PREFIX):
            continue
        yield f"\n## {part.title}\n\n{part.circumstances}.\n"
        yield HEAD
        yield from map(_row, part.figures)


def _row(figure: Figure) -> str:
    if figure.absent or figure.target is None:
        return f"| {figure.what} | | | | | | | {figure.verdict.value}: {figure.absent} |"
    (first, least), (last, most) = figure.points[0], figure.points[-1]
    itself = number(figure.control.value) if figure.control else ""
    ends = f"{number(least)} at {first:,} | {number(most)} at {last:,}"
    verdict = figure.verdict.value
    if figure.value > figure.target:
        bends = "bends upward" if figure.verdict in {Verdict.FAIL, Verdict.EXPLAINED} else f"{verdict}, may bend upward"
        verdict = f"{bends}: {figure.reason or 'not explained'}"
    return (
        f"| {figure.what} | {figure.axes[1]} | {ends} | {figure.value:.2f} | {figure.target:g} | {itself} | {verdict} |"
    )
