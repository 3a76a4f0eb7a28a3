"""Metering: what the writes to the scoreboard cost, as a share of the CPU per request with them.

The contender without them is ourselves, rewritten on import (`stripping`). Such small differences need many short
alternating slices, each compared with its neighbour.
"""

from dataclasses import replace
from pathlib import Path
from statistics import quantiles

from tests.bench.comparison import Rounds, Scores, compare
from tests.bench.contenders import ECHO, forkful
from tests.bench.figure import Figure
from tests.bench.load import Load
from tests.bench.server import ROOT, Contender
from tests.bench.stripping import What

WITH = "with"
UNMETERED = Path(__file__).parent / "unmetered"


def metering(rounds: Rounds) -> list[Figure]:
    """Per TCP request, and per datagram."""
    fine = replace(rounds, slices=rounds.slices * 3, seconds=rounds.seconds / 2)
    figures = []
    for what, target, load, handler in (
        ("TCP request", 3.0, Load("close"), "Once"),
        ("datagram", 8.0, Load("datagram", 32, timeout=1.0), "Datagram"),
    ):
        ours = forkful(WITH, f"{ECHO}:{handler}", datagram=load.mode == "datagram")
        scores = compare([ours, *(_without(ours, less) for less in What)], load, fine)
        figures.append(_share(f"the scoreboard's writes, per {what}", scores, What.WRITES, target))
        figures.append(_share(f"with the clock readings for them, per {what}", scores, What.ALL))
    return figures


def _without(ours: Contender, what: What) -> Contender:
    environment = {"PYTHONPATH": f"{UNMETERED}:{ROOT}", "BENCH_STRIP": what.value}
    return replace(ours, name=what.value, environment=environment)


def _share(what: str, scores: Scores, less: What, target: float | None = None) -> Figure:
    """Percent of the cost with them: the median over neighbouring slices; the spread is its quartiles."""
    pairs = zip(scores[WITH].slices, scores[less.value].slices, strict=True)
    low, value, high = quantiles((100 * (1 - without / cost) for cost, without in pairs), n=4)
    detail = f"{scores[WITH].median:.2f} us of CPU with / {scores[less.value].median:.2f} without"
    return Figure(what, value, "%", target, low=low, high=high, detail=detail, faults=scores[WITH].faults)
