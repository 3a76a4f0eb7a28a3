"""A figure: what was measured, what it should be, and the verdict. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from statistics import median
from typing import Any


class Verdict(Enum):
    """PASS keeps the target, FAIL does not; INFO had none; ABSENT could not be measured here."""

    PASS = "pass"
    FAIL = "FAIL"
    INFO = "info"
    ABSENT = "not run"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. Smaller is better; `low` and `high` are the spread over the rounds."""

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

    @property
    def verdict(self) -> Verdict:
        if self.absent:
            return Verdict.ABSENT
        if self.target is None:
            return Verdict.INFO
        return Verdict.PASS if self.value <= self.target and not self.faults else Verdict.FAIL

    def record(self) -> dict[str, Any]:  # Any: it becomes JSON
        return asdict(self) | {"verdict": self.verdict.value}


@dataclass(frozen=True, slots=True)
class Ratio:
    """One contender over another: the ratio of medians, and the smallest and largest ratio of a single round."""

    value: float
    low: float
    high: float


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Compare two contenders that were measured in the same rounds."""
    pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(median(ours) / median(theirs), min(pairs), max(pairs))
