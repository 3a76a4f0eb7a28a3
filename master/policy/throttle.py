"""The throttle: how long a slot waits for its next worker after several have died early.

Pure: it counts deaths and reads no clock. After the first death of a worker that had been ready the next one starts at
once. After deaths before ready, and repeated ones, the wait grows exponentially, with jitter so that slots do not all
start together.
A death in the middle of a request is mostly that request's doing, and clients can repeat it as fast as they like. Such
waits are the pool's: while nobody serves there, one of its slots does without (`policy.pools`).
"""

from forkful.conf.light import dataclass

FIRST, LONGEST = 0.25, 30.0  # seconds
HEALTHY = 60.0  # a worker that was ready for this long forgives all strikes
JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Strikes:
    """What a slot remembers: consecutive young deaths, and when the next start is allowed (monotonic seconds)."""

    count: int = 0
    not_before: float = 0.0
    served: bool = False  # the last one was ready, and had a request in flight


def strike(before: Strikes, *, was_ready: bool, now: float, dice: float, in_flight: bool = False) -> Strikes:
    """Count one more young death. `dice` is uniform in [0, 1)."""
    count = before.count + 1
    step = count - 2 if was_ready else count - 1
    delay = 0.0 if step < 0 else min(LONGEST, FIRST * 2.0**step)
    return Strikes(count, now + delay * (1 + JITTER * (2 * dice - 1)), was_ready and in_flight)


def is_young(ready_at: float, now: float) -> bool:
    """Whether a death at `now` counts as a strike: never ready, or ready for less than a healthy minute."""
    return now - ready_at < HEALTHY
