"""The report: the sections asked for, one after the other, as text, as JSON and as a page of HTML with plots.

    python -m tests.bench report --section http close --quick --out FOLDER
    python -m tests.bench http close            # the same as text alone

Leaves with 1 where a figure misses its target without a reason, so that a shell can ask; no test does.
Can go wrong: a section breaks: its line says why, and the next one comes.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.bench import html_page, machine, table
from tests.bench.comparison import Rounds
from tests.bench.cores import load_core, server_core
from tests.bench.crowd import CrowdError
from tests.bench.figure import Figure, Verdict
from tests.bench.load import LoadError
from tests.bench.machine import Machine, Watch
from tests.bench.sections import GROUPS, SECTIONS, Section, named
from tests.bench.server import ServerError

FOLDER = Path("bench-report")
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

    @property
    def missed(self) -> bool:
        return any(figure.verdict is Verdict.FAIL for part in self.parts for figure in part.figures)


def main(arguments: list[str], *, folder: Path | None = FOLDER) -> int:
    """`folder`: where files go unless `--out` says another; None is nowhere."""
    parser = _parser()
    asked = parser.parse_args(arguments)
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
    return int(report.missed)


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
    except (ServerError, LoadError, CrowdError) as error:
        figures = [Figure(section.title, absent=str(error).splitlines()[0], output=str(error))]
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
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="an SVG file to draw `balance` in")
    return parser


def _names() -> str:
    return ", ".join([*(section.name for section in SECTIONS), *(f"{group} (a group)" for group in GROUPS)])
