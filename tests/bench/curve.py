"""A curve: how a cost grows with something, and whether it bends upward. Pure.

On logarithmic axes a cost that does not depend on x is level, one that is proportional to it has a slope of one. A
curve bends upward where its steepest part is steeper than what is expected of it.
Can go wrong: fewer than two points: its steepness is zero.
"""

from collections.abc import Sequence
from itertools import combinations, pairwise
from math import log
from statistics import median

from tests.bench.figure import Figure, Ratio
from tests.bench.table import number

Point = tuple[float, float]
LEVEL, PROPORTIONAL = 0.0, 1.0
TOLERANCE = 0.15  # of the slope: 40 % from one end of a factor of ten to the other
TAIL = 3  # points


def steepness(points: Sequence[Point]) -> float:
    """The slope of the logarithms, of the whole curve or of its last points, whichever is steeper.

    The median of the slopes of all pairs (Theil and Sen): one point that is off moves it little. Points at or below
    zero have no logarithm and stay out.
    """
    logs = [(log(x), log(y)) for x, y in points if x > 0 and y > 0]
    return max(_slope(logs), _slope(logs[-TAIL:]))


def _slope(logs: Sequence[Point]) -> float:
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(logs, 2) if x1 != x2]
    return median(slopes) if slopes else 0.0


def bends(points: Sequence[Point], expected: float = LEVEL) -> bool:
    """Whether it grows faster than expected."""
    return steepness(points) > expected + TOLERANCE


def beyond(values: Sequence[float], floor: float) -> list[float]:
    """What came to the first, but at least `floor`: a leak of a little beside much is seen, and noise is not."""
    return [max(floor, value - values[0]) for value in values]


def control(passes: Sequence[Sequence[float]]) -> Ratio | None:
    """What one pass over a curve differs by from the next, point by point; of one pass, nothing."""
    pairs = [a / b for one, other in pairwise(passes) for a, b in zip(one, other, strict=True)]
    return Ratio(median(pairs), min(pairs), max(pairs)) if pairs else None


def figure(
    what: str,
    axes: tuple[str, str],
    xs: Sequence[float],
    passes: Sequence[Sequence[float]],
    expected: float,
    reason: str,
) -> Figure:
    """The curve through the medians of several passes; its value is its steepness, beside the most it may be."""
    points = tuple((x, median(values)) for x, *values in zip(xs, *passes, strict=True))
    return Figure(
        what,
        steepness(points),
        "slope",
        expected + TOLERANCE,
        detail=f"{axes[1]}: " + ", ".join(f"{number(y)} at {x:,}" for x, y in (points[0], points[-1])),
        control=control(passes),
        reason=reason,
        points=points,
        axes=axes,
    )
