"""The report: the sections asked for, one after the other, as text, as JSON and as a page of HTML with plots.

    python -m tests.bench report --section http close --quick --out FOLDER
    python -m tests.bench http close            # the same as text alone
    python -m tests.bench report --from A/report.json B/report.json     # what was measured, together or side by side

Leaves with 1 where a figure misses its target without a reason, so that a shell can ask; no test does.
Can go wrong: a section breaks: its line says why, and the next one comes.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.bench import figures_page, growth_page, html_page, machine, table
from tests.bench.comparison import Rounds
from tests.bench.cores import load_core, server_core
from tests.bench.crowd import CrowdError
from tests.bench.figure import Figure, Ratio, Verdict
from tests.bench.load import LoadError
from tests.bench.machine import Machine, Watch
from tests.bench.sections import GROUPS, SECTIONS, Section, named
from tests.bench.server import ServerError

FOLDER = Path("bench-report")
TOLD = ("seconds", "others", "load")
BUSY = 0.1  # of all cores, by others: worth a word


@dataclass(frozen=True, slots=True)
class Part:
    """A section that has been measured, and what the machine did meanwhile."""

    name: str
    title: str
    figures: list[Figure]
    seconds: float
    others: float
    load: float

    @property
    def circumstances(self) -> str:
        busy = ": too much to tell small differences" if self.others > BUSY else ""
        return f"{self.seconds:.0f} s; others used {self.others:.0%} of the machine{busy}; load {self.load:.1f}"


@dataclass(slots=True)
class Report:
    """All that was measured in one run."""

    machine: Machine
    began: str
    how: str
    parts: list[Part] = field(default_factory=list)

    def record(self) -> dict[str, Any]:  # Any: it becomes JSON
        parts = {
            part.name: {
                "title": part.title,
                "seconds": round(part.seconds, 1),
                "others": round(part.others, 3),
                "load": part.load,
                "figures": [figure.record() for figure in part.figures],
            }
            for part in self.parts
        }
        return {"machine": self.machine.record(), "began": self.began, "how": self.how, "sections": parts}

    @classmethod
    def read(cls, record: dict[str, Any]) -> "Report":  # Any: it was JSON
        parts = [
            Part(name, each["title"], [_figure(figure) for figure in each["figures"]], *(each[k] for k in TOLD))
            for name, each in record["sections"].items()
        ]
        return cls(Machine(**record["machine"]), record["began"], record["how"], parts)

    @property
    def missed(self) -> bool:
        return any(figure.verdict is Verdict.FAIL for part in self.parts for figure in part.figures)


def _figure(record: dict[str, Any]) -> Figure:  # Any: it was JSON
    control = record["control"] and Ratio(**record["control"])
    points = tuple((x, y) for x, y in record["points"])
    kept = {name: value for name, value in record.items() if name != "verdict"}
    return Figure(**kept | {"control": control, "points": points, "axes": tuple(record["axes"])})


def together(reports: Sequence[Report]) -> Report:
    """Sections of several runs in one; of one that is there twice, the later."""
    parts = {part.name: part for report in reports for part in report.parts}
    first, *_ = reports
    order = [section.name for section in SECTIONS]
    return Report(
        first.machine, first.began, first.how, sorted(parts.values(), key=lambda part: order.index(part.name))
    )


def beside(reports: Sequence[Report]) -> list[str]:
    """What several Pythons came to, a column each."""
    columns = [{(part.name, each.what): each for part in report.parts for each in part.figures} for report in reports]
    lines = [f"{'':{table.WIDTH}} {'target':>9}" + "".join(f"{report.machine.python:>18}" for report in reports)]
    for key, figure in columns[0].items():
        target = "" if figure.target is None else f"<= {table.number(figure.target)}"
        cells = [f"{_cell(column[key]) if key in column else '':>18}" for column in columns]
        lines.append(f"{key[0] + ': ' + key[1]:{table.WIDTH}} {target:>9}{''.join(cells)}")
    return lines


def _cell(figure: Figure) -> str:
    if figure.absent:
        return figure.verdict.value
    return f"{table.number(figure.value)} {figure.unit} {figure.verdict.value}"


def main(arguments: list[str], *, folder: Path | None = FOLDER) -> int:
    """`folder`: where files go unless `--out` says another; None is nowhere."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.read:
        return _again([Report.read(json.loads(path.read_text())) for path in asked.read], asked)
    try:
        chosen = named([*asked.names, *asked.section] or ["measured"])
    except KeyError as error:
        parser.error(f"no section {error.args[0]}; there are {_names()}")
    rounds = Rounds(3, slices=2, seconds=0.25, quick=True) if asked.quick else Rounds(long=asked.long)
    rounds = replace(rounds, rounds=asked.rounds or rounds.rounds, picture=asked.picture)
    how = f"{rounds.rounds} rounds of {rounds.slices} slices of {rounds.seconds:g} s"
    report = Report(machine.read(), time.strftime("%Y-%m-%d %H:%M"), how + (", quick" if asked.quick else ""))
    lines = _Lines(quiet=asked.json)
    lines.say(f"{report.began}, {report.how}\n{report.machine}\n")
    for section in chosen:
        report.parts.append(_measure(section, rounds, lines))
    if asked.json:
        print(json.dumps(report.record(), indent=1))
    if folder := asked.out or folder:
        _write(report, lines, folder)
    if asked.write:
        _write_pages(report)
    return int(report.missed)


def _again(reports: Sequence[Report], asked: argparse.Namespace) -> int:
    """What was measured before: of several Pythons side by side, of one put together."""
    if len({report.machine.python for report in reports}) > 1:
        print("\n".join(beside(reports)))
        return 0
    report = together(reports)
    lines = _Lines(quiet=asked.json)
    for part in report.parts:
        lines.say("\n".join([table.header(part.title), *map(table.line, part.figures), f"  {part.circumstances}\n"]))
    if asked.out:
        _write(report, lines, asked.out)
    if asked.write:
        _write_pages(report)
    return int(report.missed)


def _write_pages(report: Report) -> None:
    if any(part.name.startswith(growth_page.PREFIX) for part in report.parts):
        growth_page.write(report)
    if figures_page.measures(report):
        figures_page.write(report)


@dataclass(slots=True)
class _Lines:
    """The text, printed as it comes to be."""

    quiet: bool
    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)
        if not self.quiet:
            print(text, flush=True)


def _measure(section: Section, rounds: Rounds, lines: _Lines) -> Part:
    lines.say(table.header(section.title))
    watch = Watch()
    try:
        figures = section.run(rounds)
    except (ServerError, LoadError, CrowdError, OSError) as error:
        figures = [Figure(section.title, absent=(str(error) or repr(error)).splitlines()[0], output=str(error))]
    part = Part(section.name, section.title, figures, watch.seconds, watch.others, os.getloadavg()[0])
    for figure in figures:
        lines.say(table.line(figure))
    lines.say(f"  {part.circumstances}\n")
    return part


def _write(report: Report, lines: _Lines, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.txt").write_text("\n".join(lines.said))
    (folder / "report.json").write_text(json.dumps(report.record(), indent=1) + "\n")
    (folder / "report.html").write_text(html_page.page(report))
    print(f"written: {folder}/report.txt, report.json, report.html", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.bench report",
        description="Measure Forkful beside floors and peers. CPU is user and system time of all server processes, "
        f"servers on core {server_core()}, load on core {load_core()}, medians over alternating rounds.",
    )
    which = f"which sections: {_names()} (default: measured)"
    parser.add_argument("names", nargs="*", metavar="NAME", help=which)
    parser.add_argument("--section", nargs="+", action="extend", default=[], metavar="NAME", help="the same")
    parser.add_argument("--rounds", type=int, default=0, help="rounds, each with fresh processes (default 5)")
    parser.add_argument("--quick", action="store_true", help="few and short: to see that it works, not for figures")
    parser.add_argument("--long", action="store_true", help="also what takes many minutes")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where report.txt, .json and .html go")
    parser.add_argument(
        "--from", dest="read", nargs="+", type=Path, metavar="FILE", help="measure nothing: these reports"
    )
    parser.add_argument("--write", action="store_true", help="renew figures.md, and growth.md by sections of growth")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="an SVG file to draw `balance` in")
    return parser


def _names() -> str:
    return ", ".join([*(section.name for section in SECTIONS), *(f"{group} (a group)" for group in GROUPS)])
