"""Overdue requests: those that take longer than their pool's timeout, found by the start times of their lanes.

Pure. There is no tick: an idle lane cannot become overdue before `timeout` from now, so that is when to look again. An
event loop that is blocked is overdue by the same rule, whether or not it has a request in flight.
"""

import math
from collections.abc import Iterable, Mapping

from forkful.conf.light import dataclass


@dataclass(frozen=True, slots=True)
class Watched:
    """One worker's lanes. `since` are the starts of what is in flight (monotonic seconds), idle lanes left out.

    `blocked` is when its event loop turned last, if that is too long ago to be well. `others` counts what else it has,
    or may have any moment: connections of an event loop, lanes that still accept. `doomed` are the starts of what was
    late when it was condemned, if it is: whatever else it has may finish, and is not given up for being late by now.
    """

    token: int
    timeout: float
    since: tuple[float, ...]
    others: int = 0
    blocked: float = math.inf
    doomed: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Overdue:
    """A worker with requests beyond their deadline, which began at `starts`; `others` would suffer with it.

    None has begun where a loop is `blocked` by what is no request.
    """

    token: int
    starts: tuple[float, ...]
    others: int
    blocked: bool = False

    @property
    def oldest(self) -> float:
        return min(self.starts)


def look(workers: Iterable[Watched], now: float) -> tuple[list[Overdue], float]:
    """Return who is overdue, and when to look again (`math.inf`: no pool has a timeout)."""
    found = []
    again = math.inf
    for watched in workers:
        late = tuple(since for since in watched.since if since + watched.timeout <= now)
        timely = [since + watched.timeout for since in watched.since if since + watched.timeout > now]
        turns = watched.blocked + watched.timeout
        again = min([again, now + watched.timeout, *timely, *([turns] if turns > now else [])])
        if late or turns <= now:
            starts = late or (watched.blocked,)
            spared = sum(since not in watched.doomed for since in watched.since) if watched.doomed else len(timely)
            found.append(Overdue(watched.token, starts, spared + watched.others, blocked=not late))
    return found, again


def news(overdue: Overdue, told: Mapping[float, float], now: float) -> dict[float, float]:
    """Which of its starts to report now, with their ages: new ones, and those twice as old as when they were `told`.

    Again, for of an event loop only the oldest request is known: others may be stuck behind it by then.
    """
    ages = {start: now - start for start in overdue.starts}
    return {start: age for start, age in ages.items() if age >= 2 * told.get(start, 0.0)}
