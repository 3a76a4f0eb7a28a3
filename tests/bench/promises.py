"""The promises: programs beside the table that judge by themselves, each as one line of the report.

Each runs as a process of its own within a time, so that one that hangs or breaks takes nothing else along. Its exit
code is the figure; what it printed is kept.
Can go wrong: it is not done in time: it is stopped, and absent.
"""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.comparison import Rounds
from tests.bench.figure import Figure
from tests.bench.server import ROOT


@dataclass(frozen=True, slots=True)
class Promise:
    """A program, what it is told, and what it is told where it is to be quick; its time in seconds."""

    name: str
    title: str
    arguments: str = ""
    quick: str = ""
    within: float = 1200.0


PROMISES = (
    Promise("applications", "Sites of frameworks by servers: who gives the same answers"),
    Promise("deploys", "wrk through HAProxy during reloads and upgrades", "", "--reloads 2 --upgrades 1"),
    Promise(
        "flows", "UDP peers with affinity during reloads, upgrades and kills", "", "--reloads 2 --upgrades 1 --kills 2"
    ),
    Promise("abuse", "What honest clients notice of a few that do harm", "--seconds 3", "--seconds 1"),
    Promise("canary", "Simulated deploys, judged by what judges canaries", "", "--deploys 20"),
    Promise("chaos", "Everything that can happen, at random", "--minutes 3", "--minutes 0.3"),
    Promise("hostile", "Whatever a worker may do to its master", "", "--seconds 5"),
    Promise("fuzz", "Whatever a client may say over HTTP, judged by h11", "--minutes 3", "--minutes 0.2"),
    Promise("monitor", "The monitor: how many datagrams a core takes", "", "--rounds 1 --kills 1"),
    Promise("game", "The game: players through deploys", "match", "match --players 12 --reloads 1 --upgrades 1"),
    Promise("compute", "The computation: whatever workers are killed", "", "--rounds 1 --tasks 50 --kills 2"),
    Promise("soak", "All applications, their clients, every fault", "--seconds 600", "--seconds 60"),
)


def run(promise: Promise) -> Callable[[Rounds], list[Figure]]:
    """As a section."""

    def measured(rounds: Rounds) -> list[Figure]:
        words = (promise.quick if rounds.quick and promise.quick else promise.arguments).split()
        what = " ".join(["exit code of", promise.name, *words])
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench", promise.name, *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            printed, _ = process.communicate(timeout=promise.within)
        except subprocess.TimeoutExpired:
            _end(process)
            return [Figure(what, target=0.0, absent=f"not done within {promise.within:.0f} s")]
        last = next((line for line in reversed(printed.splitlines()) if line.strip()), "")
        return [Figure(what, float(process.returncode), target=0.0, detail=last.strip()[:160], output=printed)]

    return measured


def _end(process: subprocess.Popen[str]) -> None:
    """As from the keyboard, so that it ends what it has started itself."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=60.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
