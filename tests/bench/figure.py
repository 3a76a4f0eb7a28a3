"""A figure: what was measured, what it should be, and the verdict. Pure.

Can go wrong: the machine had other work. A control, the same server against itself in the same rounds, shows it: where
the two differ by more than `DIFFERS`, or a single round's by more than `SPREADS`, the figure has no verdict.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from statistics import median
from typing import Any

DIFFERS, SPREADS = 1.05, 1.3


class Verdict(Enum):
    """PASS keeps the target, FAIL does not, and EXPLAINED does not for a reason that stands beside it.

    INFO had none; ABSENT could not be measured here; NOISY was, on a machine too busy to tell.
    """

    PASS = "pass"
    FAIL = "FAIL"
    EXPLAINED = "explained"
    INFO = "info"
    ABSENT = "not run"
    NOISY = "too noisy"


@dataclass(frozen=True, slots=True)
class Ratio:
    """One contender over another: the ratio of medians, and the smallest and largest ratio of a single round."""

    value: float
    low: float
    high: float

    @property
    def noisy(self) -> bool:
        """As a control, of what is one and the same: whether it is too far from one to tell anything."""
        return max(self.value, 1 / self.value) > DIFFERS or self.high / self.low > SPREADS


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. Smaller is better; `low` and `high` are the spread over the rounds.

    One with `points` is a curve: how a cost grows. `reason` is why it misses its target, where that is understood.
    """

    what: str
    value: float = 0.0
    unit: str = ""
    target: float | None = None
    aim: float | None = None
    low: float | None = None
    high: float | None = None
    detail: str = ""
    absent: str = ""  # why it could not be measured
    faults: str = ""  # replies that went wrong: speed by losing work is none
    control: Ratio | None = None  # the same against itself, in the same rounds
    reason: str = ""
    points: tuple[tuple[float, float], ...] = ()
    axes: tuple[str, str] = ("", "")
    output: str = ""  # what a program printed that is a line of the report

    @property
    def verdict(self) -> Verdict:
        if self.absent:
            return Verdict.ABSENT
        if self.target is None:
            return Verdict.INFO
        if self.faults:
            return Verdict.FAIL
        if self.control and self.control.noisy:
            return Verdict.NOISY
        if self.value <= self.target:
            return Verdict.PASS
        return Verdict.EXPLAINED if self.reason else Verdict.FAIL

    def record(self) -> dict[str, Any]:  # Any: it becomes JSON
        return asdict(self) | {"verdict": self.verdict.value}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Compare two contenders that were measured in the same rounds."""
    pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(median(ours) / median(theirs), min(pairs), max(pairs))


def halves(values: Sequence[float]) -> Ratio | None:
    """A control for one that is measured again and again: every other value over those between; of one, none."""
    even = len(values) // 2 * 2
    return ratio(values[0:even:2], values[1:even:2]) if even else None
