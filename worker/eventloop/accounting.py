"""The event loop's side of the scoreboard: what is connected and in flight, written as it happens.

An idle loop writes nothing and has no timer. A loop with connections writes its heartbeat, so that a blocked one is
found: the heartbeat is 0 while nothing is connected, and otherwise never older than `BEAT` seconds.
"""

import itertools
from bisect import bisect_left
from collections import OrderedDict
from operator import itemgetter
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from forkful.worker.eventloop.loop_time import wanted_ns
from forkful.worker.ipc.scoreboard import (
    ACTIVE,
    ARRIVING,
    BOUNDS_NS,
    BUCKETS,
    BUSY,
    ERROR,
    HEARTBEAT,
    LOOP_BUSY,
    OVERLAPPED,
    OVERLAPS,
    RECEIVED,
    RESPONSES,
    SENT,
    SINCE,
    STARTED,
)
from forkful.worker.net.queue_wait import MASK, note_stream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

BEAT: Final = 2.0
_PLAIN: Final = 200
_FAILED: Final = 500


class Accounting:
    """One event loop's row. `connections` are open now; `flights` is ordered by start, so the oldest is the first."""

    def __init__(self, row: "memoryview[int]", loop: "asyncio.AbstractEventLoop") -> None:
        self.row = row
        self.connections = 0
        self.flights: OrderedDict[object, int] = OrderedDict()
        self.on_change: Callable[[], None] | None = None  # called when a connection is gone: a drain may be over
        self.on_beat: Callable[[], None] | None = None  # called with each heartbeat
        self.last_request: Callable[[], None] | None = None  # called once when `limit` requests are done
        self.limit = 0
        self.shared = False  # SINCE is that of a thread of the application, which has the row together with the loop
        self._ordered = True  # `flights` are, as they began
        self._tickets = itertools.count(1)  # one for each request that is done, whatever thread it was done in
        self._waiting: list[tuple[int, Callable[[], None]]] = []
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._taken = 0
        self._spent = BUSY
        self._measured_at = self._wanted = 0

    def overlap(self) -> None:
        """Requests go on at the same time: their durations do not say how busy the loop is, so that is measured."""
        self.row[OVERLAPS] = 1
        self._spent = OVERLAPPED

    def taken(self, transport: "asyncio.BaseTransport") -> None:
        """A connection came out of the queue: measure how long it was there, of one in many."""
        self._taken += 1
        if self._taken & MASK == 1:
            note_stream(self.row, transport.get_extra_info("socket"))

    def opened(self) -> None:
        self.connections += 1
        self.row[ACTIVE] = self.connections
        if self._timer is None:
            if self._spent == OVERLAPPED:
                self._measured_at, self._wanted = monotonic_ns(), wanted_ns()
            self._beat()

    def closed(self) -> None:
        self.connections -= 1
        self.row[ACTIVE] = self.connections
        if self._waiting and self.connections < self._waiting[0][0]:
            waiting, self._waiting = self._waiting, []
            for _, resume in waiting:
                resume()
        if self.on_change is not None:
            self.on_change()

    def arrive(self, flight: object, now: int) -> None:
        """A connection is accepted and on its way to its handler: open, and in flight, but no request yet."""
        self.opened()
        row = self.row
        row[ARRIVING] += 1
        if not self.flights and not self.shared:
            row[SINCE] = now
        self.flights[flight] = now

    def depart(self, flight: object) -> None:
        """It is there, or was refused."""
        self.row[ARRIVING] -= 1
        self.land(flight)
        self.closed()

    def when_room(self, limit: int, resume: "Callable[[], None]") -> None:
        """Call `resume` once fewer than `limit` connections are open."""
        self._waiting.append((limit, resume))

    def _beat(self) -> None:
        if self.on_beat is not None:
            self.on_beat()
        now = monotonic_ns()
        if self._spent == OVERLAPPED:
            self._measure(now)
        if self.connections:
            self.row[HEARTBEAT] = now
            self._timer = self._loop.call_later(BEAT, self._beat)
        else:
            self.row[HEARTBEAT] = 0
            self._timer = None

    def _measure(self, now: int) -> None:
        """Add the time for which this loop wanted the CPU since the last beat, or the time by which this beat is late.

        A loop that is blocked, as by a `time.sleep`, needs no CPU and serves nobody: it is late.
        """
        passed, wanted = now - self._measured_at, wanted_ns()
        late = passed - int(BEAT * 1e9)
        self.row[LOOP_BUSY] += min(passed, max(0, wanted - self._wanted, late))
        self._measured_at, self._wanted = now, wanted

    def begin(self, flight: object) -> int:
        """A request begins; several may be in flight. Returns now (monotonic ns)."""
        now = monotonic_ns()
        row = self.row
        row[STARTED] += 1
        if not self.flights:
            row[SINCE] = now
        self.flights[flight] = now
        return now

    def land(self, flight: object) -> None:
        """No deadline applies to it any more."""
        began = self.flights.pop(flight, None)
        if began is not None and self.row[SINCE] == began:
            self.row[SINCE] = self._oldest()

    def pause(self, flight: object) -> int:
        """Its clock stands still: somebody else has the ball. What to tell `go_on`; 0: it has no clock."""
        began = self.flights.get(flight, 0)
        self.land(flight)
        return began and monotonic_ns() - began

    def go_on(self, flight: object, used: int) -> None:
        """Its clock runs again, after so many nanoseconds."""
        began = monotonic_ns() - used
        self._ordered = self._ordered and began >= next(reversed(self.flights.values()), 0)
        self.flights[flight] = began
        if not self.row[SINCE] or began < self.row[SINCE]:
            self.row[SINCE] = began

    def _oldest(self) -> int:
        """When the oldest one began. A clock that stood still may have put one out of its order."""
        if not self._ordered:
            self.flights = OrderedDict(sorted(self.flights.items(), key=itemgetter(1)))
            self._ordered = True
        return next(iter(self.flights.values()), 0)

    def end(self, flight: object, began: int, outcome: int = 0, status: int = 0) -> int:
        """It is over; see `finish` for how. Returns nanoseconds."""
        took = monotonic_ns() - began
        row, flights = self.row, self.flights
        since = flights.pop(flight, 0)
        if since and row[SINCE] == since:
            row[SINCE] = next(iter(flights.values()), 0) if self._ordered else self._oldest()
        self.finish(row, took, outcome, status)
        return took

    def finish(self, row: "memoryview[int]", took: int, outcome: int = 0, status: int = 0) -> None:
        """A request that began is done; see whether it was the last that this worker should serve.

        For any thread that may write to the row. `took` is in nanoseconds, `outcome` a counter's cell, 0: fine;
        `status` that of an HTTP answer, 0: none went out. From 500 on it is an error, whoever made it.
        """
        row[self._spent] += took
        if _PLAIN <= status < _FAILED:  # nearly all
            row[RESPONSES - 1 + status // 100] += 1
        elif status:
            outcome = _answered(row, status, outcome)
        if outcome:
            row[outcome] += 1
        row[BUCKETS + bisect_left(BOUNDS_NS, took)] += 1
        if next(self._tickets) == self.limit and self.last_request is not None:
            self.last_request()

    def refuse(self, outcome: int, status: int = 0) -> None:
        """A request that nobody served; `status` as above."""
        row = self.row
        row[STARTED] += 1
        row[_answered(row, status, outcome) if status else outcome] += 1
        row[BUCKETS] += 1

    def traffic(self, received: int, sent: int) -> None:
        if received:
            self.row[RECEIVED] += received
        if sent:
            self.row[SENT] += sent


def _answered(row: "memoryview[int]", status: int, outcome: int) -> int:
    """Count an answer by its class; a status that is none counts as 5xx, as clients take it (RFC 9110 section 15)."""
    row[RESPONSES - 1 + min(status // 100, 5)] += 1
    return ERROR if status >= _FAILED else outcome
