"""Autoscaling: how many workers between `min` and `max` a pool should have, from how busy its lanes are.

Pure, with hysteresis: it grows by half when the lanes are mostly busy or connections queue, and shrinks by one when
they were mostly idle for a while. Its memory is `Pulse`, which the caller keeps. How busy a worker is is measured
between two samples (`Mark`): a single sample of a half-busy lane shows it either busy or idle.
"""

import math

from forkful.conf.light import dataclass

GROW_AT, SHRINK_AT = 0.8, 0.3  # share of lanes that are busy
GROW_AFTER, SHRINK_AFTER = 1.0, 30.0  # seconds that it must have been so
EVERY = 1.0  # seconds between looks, for elastic pools only


@dataclass(frozen=True, slots=True)
class Load:
    """What is measured of a pool at one moment."""

    target: int
    lanes: int  # of each worker
    busy: float  # lanes
    queued: int = 0  # connections in the listen queues


@dataclass(frozen=True, slots=True)
class Pulse:
    """Since when the pool is crowded or calm (monotonic seconds; `math.inf`: it is not)."""

    crowded_since: float = math.inf
    calm_since: float = math.inf


@dataclass(frozen=True, slots=True)
class Mark:
    """What a worker had done at one moment. `spent` is the time its lanes were busy, or its loop had the CPU."""

    at: float
    spent: float
    full: float = 0.0  # of an event loop: the share of its connections that are taken


def busy(before: Mark | None, after: Mark, lanes: int) -> float:
    """How many of a worker's lanes were busy between two looks; all of them, if there is no room for more."""
    passed = after.at - before.at if before is not None else 0.0
    spent = (after.spent - before.spent) / passed if before is not None and passed > 0 else 0.0
    return min(lanes, max(spent, after.full * lanes, 0.0))


def resize(load: Load, before: Pulse, *, least: int, most: int, now: float) -> tuple[int, Pulse]:
    """Return the new target, and what to remember."""
    target = min(max(load.target, least), most)
    capacity = max(1, load.target * load.lanes)
    share = load.busy / capacity
    crowded = share >= GROW_AT or load.queued > 0
    # It is calm only if it would not be crowded with one worker less.
    calm = (
        not crowded
        and load.target > 1
        and load.busy / ((load.target - 1) * load.lanes) < GROW_AT
        and share <= SHRINK_AT
    )
    pulse = Pulse(
        crowded_since=min(before.crowded_since, now) if crowded else math.inf,
        calm_since=min(before.calm_since, now) if calm else math.inf,
    )
    if now - pulse.crowded_since >= GROW_AFTER and target < most:
        grown = min(most, target + max(1, target // 2))
        return grown, Pulse()
    if now - pulse.calm_since >= SHRINK_AFTER and target > least:
        return target - 1, Pulse(calm_since=now)
    return target, pulse
