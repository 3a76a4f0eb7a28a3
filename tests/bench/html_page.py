"""The report as a page of HTML that stands alone: no scripts, no network; plots are inside as SVG."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from tests.bench.figure import DIFFERS, SPREADS, Figure, Verdict
from tests.bench.table import number

if TYPE_CHECKING:
    from tests.bench.report import Part, Report

Draw = Callable[[Sequence[Figure]], str]
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; font-size: 14px; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
svg { max-width: 100%; height: auto; } pre { overflow-x: auto; font-size: 12px; background: #f6f6f6; padding: .6rem; }
.pass { color: #2a7f62; } .FAIL { color: #c8553d; font-weight: 600; } .noisy { color: #8a6fb0; } small { color: #666; }
"""
ITSELF = (
    "“Itself” is the same server against itself in the same rounds: one, on a machine that does nothing else. Where it "
    f"is further from one than {DIFFERS:g}, or its rounds differ by more than {SPREADS:g}, the line says “too noisy” "
    "instead of a verdict."
)
HEAD = "<tr><th>what<th>goal<th>measured<th>spread<th>itself<th>verdict<th>remarks</tr>"


def page(report: "Report") -> str:
    """The whole of it."""
    ratios, curves, missing = _plots()
    counts = Counter(figure.verdict for part in report.parts for figure in part.figures)
    summary = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])
    lines = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>Forkful, measured</title><style>{STYLE}</style>",
        f"<h1>Forkful, measured</h1><p>{escape(report.began)}, {escape(report.how)}.<br>{escape(str(report.machine))}.",
        f"<p>{escape(summary)}. {ITSELF}{escape(missing)}",
    ]
    for part in report.parts:
        lines += [*_part(part, ratios, curves)]
    return "\n".join(lines) + "\n"


def _plots() -> tuple[Draw, Draw, str]:
    try:
        from tests.bench.plot import curves, ratios  # noqa: PLC0415 - it may be missing
    except ImportError:
        return (lambda _: ""), (lambda _: ""), " No plots: pip install '.[bench]'."
    return ratios, curves, ""


def _part(part: "Part", ratios: Draw, curves: Draw) -> Iterator[str]:
    yield f"<h2 id='{escape(part.name)}'>{escape(part.title)}</h2>"
    yield f"<p><small>{escape(part.circumstances)}</small></p>"
    yield ratios(part.figures)
    yield curves(part.figures)
    yield f"<table>{HEAD}{''.join(map(_row, part.figures))}</table>"
    for figure in part.figures:
        if figure.output:
            yield f"<details><summary>{escape(figure.what)}</summary><pre>{escape(figure.output)}</pre></details>"


def _row(figure: Figure) -> str:
    if figure.absent:
        return (
            f"<tr><td>{escape(figure.what)}<td><td><td><td><td>{figure.verdict.value}<td>{escape(figure.absent)}</tr>"
        )
    goal = "" if figure.target is None else f"≤ {number(figure.target)}"
    spread = "" if figure.low is None or figure.high is None else f"{number(figure.low)} … {number(figure.high)}"
    itself = ""
    if figure.control:
        itself = f"{number(figure.control.value)} ({number(figure.control.low)} … {number(figure.control.high)})"
    cells = (goal, f"{number(figure.value)} {figure.unit}", spread, itself)
    numbers = "".join(f"<td class='n'>{escape(cell)}" for cell in cells)
    remarks = "; ".join(text for text in (figure.reason, figure.faults, figure.detail) if text)
    verdict = f"<td class='{figure.verdict.value.rpartition(' ')[2]}'>{figure.verdict.value}"
    return f"<tr><td>{escape(figure.what)}{numbers}{verdict}<td>{escape(remarks)}</tr>"
