"""Readiness: whether a pool can serve, from how many of its workers are ready.

A percentage is of the number that the settings name, of an elastic pool's least: a pool that grows, or is told to,
serves no worse than before, and stays ready.
Can go wrong: a share that is none: `ValueError`; the settings' reader has seen to that.
"""

import math

from forkful.conf.plan import PoolPlan


def enough(pool: PoolPlan, target: int) -> int:
    """How many ready workers make this pool ready, while `target` are wanted."""
    number = pool.workers_min if pool.workers_max else pool.workers
    if pool.ready_min.endswith("%"):
        wanted = math.ceil(min(number, target) * int(pool.ready_min[:-1]) / 100)
    else:
        wanted = min(int(pool.ready_min), target)
    return max(1, wanted)  # at a target of 0 nobody serves


def is_ready(pool: PoolPlan, target: int, ready: int) -> bool:
    """Whether a pool can serve."""
    return ready >= enough(pool, target) and target > 0
