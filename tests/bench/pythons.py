"""Other Pythons beside this one: the CPU of the same Forkful and the same applications, in the same rounds.

Each is a virtual environment in the checkout with our package and its peers, `.venv13` and the like; all of those that
are there are measured.
Can go wrong: there is none, or one lacks a package: its line says so.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.before import LINES
from tests.bench.comparison import Rounds, against, compare
from tests.bench.figure import Figure
from tests.bench.server import ROOT

INSTALL = "python3.13 -m venv .venv13 && .venv13/bin/pip install '.[bench]'"
SHOWN = ("tcp", "udp", "protocol", "coroutine", "http", "balanced", "close", "threads", "asgi-balanced")


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter with everything installed."""

    path: Path
    version: str


def found(folder: Path = ROOT) -> list[Python]:
    """Those of the checkout's virtual environments that are of another version than this, each version once."""
    versions = {path: _version(path) for path in sorted(folder.glob(".venv*/bin/python"))}
    ours = ".".join(map(str, sys.version_info[:3]))
    others = {version: path for path, version in versions.items() if version not in {"", ours}}
    return [Python(path, version) for version, path in sorted(others.items())]


def _version(path: Path) -> str:
    """Empty where Forkful is not installed."""
    words = "import forkful.master.main, platform; print(platform.python_version())"
    done = subprocess.run([path, "-c", words], cwd="/", capture_output=True, text=True, check=False)
    return done.stdout.strip()


def pythons(rounds: Rounds) -> list[Figure]:
    """Each line by all of them."""
    others = found()
    if not others:
        return [Figure("other Pythons", absent=f"none here: {INSTALL}")]
    return list(_figures(others, rounds))


def _figures(others: list[Python], rounds: Rounds) -> Iterator[Figure]:
    ours = sys.version.split()[0]
    for line in LINES:
        if line.name not in SHOWN:
            continue
        here = replace(line.contender, name=ours)
        there = [replace(here, name=each.version, argv=(str(each.path), *here.argv[1:])) for each in others]
        scores = compare([here, *there], line.load, rounds)
        for each in others:
            yield against(f"{line.contender.name}: {each.version} / {ours}", scores, (each.version, ours))
