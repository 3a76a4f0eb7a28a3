"""The vigil: requests that take longer than their pool's timeout, found through their lanes' start times.

Pure. There is no tick: an idle lane cannot become overdue before `timeout` from now, so that is when to look again.
Can go wrong: nothing.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Watched:
    """One worker's lanes. `since` are the starts of what is in flight (monotonic seconds), idle lanes left out.

    `others` counts what else it has, or may have any moment: connections of an event loop, lanes that still accept.
    """

    token: int
    timeout: float
    since: tuple[float, ...]
    others: int = 0


@dataclass(frozen=True, slots=True)
class Overdue:
    """A worker with requests beyond their deadline. `oldest` began then; `others` would suffer with it."""

    token: int
    oldest: float
    overdue: int
    others: int


def look(crew: Iterable[Watched], now: float) -> tuple[list[Overdue], float]:
    """Return who is overdue, and when to look again (`math.inf`: no pool has a timeout)."""
    found = []
    again = math.inf
    for watched in crew:
        late = [since for since in watched.since if since + watched.timeout <= now]
        timely = [since + watched.timeout for since in watched.since if since + watched.timeout > now]
        again = min([again, now + watched.timeout, *timely])
        if late:
            found.append(Overdue(watched.token, min(late), len(late), len(timely) + watched.others))
    return found, again
