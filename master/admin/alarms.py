"""The alarms: where an alert of `deploy/prometheus/forkful.rules.yml` fires, or is about to, from the status alone.

The rules wait some minutes before they call somebody; the page shows at once what they will call for.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from forkful.conf.light import dataclass
from forkful.master.admin import derived
from forkful.master.admin.history import Point
from forkful.master.admin.status import PoolStatus, Status

WINDOW: Final = 60  # samples that a share is taken over: five minutes, as in the rules
SATURATED: Final = 0.9
FAILING: Final = 0.05
FILLING: Final = 0.8


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alert: its name in the rules, and what is the matter. `figure` is the chart that shows it, "" for none."""

    alert: str
    text: str
    figure: str = ""


def of_service(now: Status) -> Iterator[Alarm]:
    if not now["reload"]["successful"]:
        yield Alarm("ForkfulReloadFailed", "The last reload failed.")


def of_pool(pool: PoolStatus, points: Sequence[Point]) -> Iterator[Alarm]:
    """What is the matter with one pool now, given its recent points, oldest first."""
    ready, queue = derived.ready(pool), derived.waiting(pool)
    limit = sum(each["limit"] or 0 for each in pool["listeners"])
    recent = points[-WINDOW:]
    if ready < pool["target"]:
        yield Alarm("ForkfulWorkersMissing", f"{ready} of {pool['target']} workers are ready.")
    if pool["throttled_for"] > 0:
        yield Alarm("ForkfulWorkersDying", "Workers die before they are ready.")
    if is_full(pool) and queue:
        yield Alarm("ForkfulSaturated", f"All {pool['lanes']} lanes are busy, and {queue} wait.", "saturation")
    elif _mean([point.saturation for point in recent]) > SATURATED:
        yield Alarm("ForkfulSaturated", "Nearly all lanes were busy in the last minutes.", "saturation")
    ended = sum(point.ok + point.failed + point.other for point in recent)
    failed = sum(point.failed for point in recent)
    if ended and failed / ended > FAILING:
        yield Alarm("ForkfulErrors", f"{failed / ended:.0%} of requests failed in the last minutes.", "requests")
    if limit and queue > FILLING * limit:
        yield Alarm("ForkfulListenQueueFilling", f"{queue} of at most {limit} wait to be accepted.", "queue")


def is_full(pool: PoolStatus) -> bool:
    """Whether every lane serves somebody now."""
    return 0 < pool["lanes"] <= pool["lanes_busy"]


def _mean(figures: Sequence[float]) -> float:
    return sum(figures) / len(figures) if figures else 0.0
