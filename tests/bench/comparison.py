"""A comparison: contenders under the same load in alternating rounds, and the CPU each spends per answered request.

In each round every contender is started afresh, since the layout of a process's memory moves its figures by a few
percent, and the load then goes round them in short slices, so that the machine's other work hits all alike.
The first contender is there twice: what it differs by from itself is the machine's doing, and each figure's control.
Can go wrong: replies that are lost or wrong: a contender's faults, beside its figures; no reply at all: `ServerError`;
a peer that is not installed: its figures are absent and say so.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from tests.bench.cores import load_core
from tests.bench.figure import Figure, Ratio, ratio
from tests.bench.load import Drive, Outcome
from tests.bench.server import Contender, Server, ServerError


@dataclass(frozen=True, slots=True)
class Rounds:
    """How much to measure: `rounds` fresh starts, each with `slices` of `seconds` per contender."""

    rounds: int = 5
    slices: int = 4
    seconds: float = 0.5
    picture: Path | None = None  # where to draw what is found, for those who can
    quick: bool = False  # only to see that it works
    long: bool = False  # also what takes many minutes


@dataclass(slots=True)
class Score:
    """What one contender did: microseconds of CPU per answered request, one value per round."""

    cost: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    absent: str = ""  # why it could not run
    twin: Ratio | None = None  # the control of all that was measured with it

    @property
    def median(self) -> float:
        return median(self.cost)

    @property
    def faults(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in sorted(self.errors.items()))


Scores = dict[str, Score]


def compare(contenders: Sequence[Contender], load: Drive, rounds: Rounds) -> Scores:
    """Measure all contenders that are installed, each round beginning with another one."""
    absent = {contender.name: load.missing or contender.missing for contender in contenders}
    scores: Scores = {name: Score(absent=reason) for name, reason in absent.items()}
    contenders = [contender for contender in contenders if not absent[contender.name]]
    if not contenders:
        return scores
    first = contenders[0]
    twin = replace(first, name=f"{first.name}, again")
    scores[twin.name] = Score()
    contenders = [*contenders, twin]
    for number in range(rounds.rounds):
        begin = number % len(contenders)
        _round([*contenders[begin:], *contenders[:begin]], load, rounds, scores)
        _progress(f"  round {number + 1} of {rounds.rounds}")
    _progress("")
    control = ratio(scores[first.name].cost, scores.pop(twin.name).cost)
    for score in scores.values():
        score.twin = control
    return scores


def _progress(text: str) -> None:
    """Where somebody watches: a line that the figures overwrite."""
    if sys.stderr.isatty():
        print(f"\r{text:30}\r", end="", file=sys.stderr, flush=True)


def _round(contenders: Sequence[Contender], load: Drive, rounds: Rounds, scores: Scores) -> None:
    spent = dict.fromkeys((contender.name for contender in contenders), 0.0)
    answered: Counter[str] = Counter()
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(contender)) for contender in contenders]
        for server in servers:
            drive(server, load, 0.2)  # warm: caches, lazy imports, the specializing interpreter
        for _ in range(rounds.slices):
            for server in servers:
                name = server.contender.name
                before = server.cpu()
                outcome = drive(server, load, rounds.seconds)
                used = server.cpu() - before
                spent[name] += used
                answered[name] += outcome.ok
                scores[name].errors.update(outcome.errors)
                scores[name].p99.append(outcome.p99)
        for server in servers:
            name = server.contender.name
            if not answered[name]:
                raise ServerError(f"{name} answered nothing, {scores[name].faults}:\n{server.tail}")
            scores[name].cost.append(spent[name] * 1e6 / answered[name])


def drive(server: Server, load: Drive, seconds: float) -> Outcome:
    """Send the load to a server for so long."""
    return load.drive(server.address, seconds, load_core())


def against(
    what: str, scores: Scores, pair: tuple[str, str], target: float | None = None, aim: float | None = None
) -> Figure:
    """The first contender's cost over the second's, with its target."""
    ours, theirs = pair
    if absent := scores[ours].absent or scores[theirs].absent:
        return Figure(what, target=target, absent=absent)
    measured: Ratio = ratio(scores[ours].cost, scores[theirs].cost)
    detail = f"{scores[ours].median:.1f} us of CPU / {scores[theirs].median:.1f}"
    detail += f"; {theirs}: {scores[theirs].faults}" if scores[theirs].faults else ""
    found = Figure(what, measured.value, "x", target, aim, measured.low, measured.high, detail)
    return replace(found, faults=scores[ours].faults, control=scores[ours].twin)


def cost(what: str, scores: Scores, name: str) -> Figure:
    """What a contender spends, for information."""
    score = scores[name]
    if score.absent:
        return Figure(what, absent=score.absent)
    detail = f"p99 {median(score.p99) / 1e3:.1f} ms" + (f"; {score.faults}" if score.faults else "")
    return Figure(
        what, score.median, "us", low=min(score.cost), high=max(score.cost), detail=detail, control=score.twin
    )
