"""The page of what it costs: its table between the two marks of `deploy/reference/figures.md`, made from a report.

python -m tests.bench report --section goals --write
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.bench.figure import Figure
from tests.bench.growth_page import PREFIX
from tests.bench.server import ROOT
from tests.bench.table import number

if TYPE_CHECKING:
    from tests.bench.report import Part, Report

PAGE = ROOT / "deploy" / "reference" / "figures.md"
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->\n"
HEAD = "| | measured | rounds | aim | itself | verdict | of |\n|---|---|---|---|---|---|---|"


def write(report: "Report") -> None:
    """Put the table in place of the one before. ValueError: the page has no marks."""
    PAGE.write_text(renewed(PAGE.read_text(), report))


def renewed(page: str, report: "Report") -> str:
    """The page with this report's table. What stands outside the marks stays."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no {BEGIN.strip()} and {END.strip()}")
    return before + begin + "\n".join(_lines(report)) + "\n" + end + after


def measures(report: "Report") -> bool:
    """Whether it has something for this page; curves have their own."""
    return any(not part.name.startswith(PREFIX) for part in report.parts)


def _lines(report: "Report") -> Iterator[str]:
    yield f"Measured {report.began}, {report.how}: {report.machine}.\n"
    if "quick" in report.how:
        yield "This was quick, to see that it works: measure anew.\n"
    yield HEAD
    for part in report.parts:
        if not part.name.startswith(PREFIX):
            yield f"| **{part.title}** (others used {part.others:.0%} of the machine) | | | | | | |"
            yield from map(_row, _told(part))


def _told(part: "Part") -> list[Figure]:
    return [figure for figure in part.figures if not figure.output]


def _row(figure: Figure) -> str:
    if figure.absent:
        return f"| {figure.what} | | | | | {figure.verdict.value}: {figure.absent.splitlines()[0]} | |"
    spread = "" if figure.low is None or figure.high is None else f"{number(figure.low)} to {number(figure.high)}"
    aim = "" if figure.target is None else f"at most {number(figure.target)}"
    itself = number(figure.control.value) if figure.control else ""
    words = "; ".join(part for part in (figure.detail, figure.faults, figure.reason) if part).replace("|", "/")
    verdict = "" if figure.target is None else figure.verdict.value
    measured = f"{number(figure.value)} {figure.unit.replace('x', '')}".rstrip()
    return f"| {figure.what} | {measured} | {spread} | {aim} | {itself} | {verdict} | {words} |"
