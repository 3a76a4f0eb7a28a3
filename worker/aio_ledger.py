"""The event loop's side of the scoreboard: what is connected and in flight, written as it happens.

An idle loop writes nothing and has no timer. A loop with connections writes its heartbeat, so that a blocked one is
found: the heartbeat is 0 while nothing is connected, and otherwise never older than `BEAT` seconds.
Can go wrong: nothing; it is arithmetic.
"""

from bisect import bisect_left
from collections import OrderedDict
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from forkful.worker.scoreboard import (
    ACCEPTED,
    ACTIVE,
    BOUNDS_NS,
    BUCKETS,
    BUSY,
    CELLS,
    ERROR,
    HEARTBEAT,
    RECEIVED,
    REFUSED,
    RESET,
    SENT,
    SINCE,
    STARTED,
    TIMEOUT,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

#: A cell of a lane's row beyond those of `scoreboard`: 1 while its worker takes new connections. Readers of the gate
#: skip seats that do not: starting, draining and full ones.
ACCEPTING: Final = CELLS - 2
BEAT: Final = 2.0

__all__ = ["ACCEPTED", "ACCEPTING", "BEAT", "ERROR", "REFUSED", "RESET", "TIMEOUT", "Ledger"]


class Ledger:
    """One event loop's row. `connections` are open now; `flights` is ordered by start, so the oldest is the first."""

    def __init__(self, row: "memoryview[int]", loop: "asyncio.AbstractEventLoop") -> None:
        self.row = row
        self.connections = 0
        self.flights: OrderedDict[object, int] = OrderedDict()
        self.on_change: Callable[[], None] | None = None  # called when a connection is gone: a drain may be over
        self.last_request: Callable[[], None] | None = None  # called once when `limit` requests are done
        self.limit = 0
        self._done = 0
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def opened(self) -> None:
        self.connections += 1
        self.row[ACTIVE] = self.connections
        if self._timer is None:
            self._beat()

    def closed(self) -> None:
        self.connections -= 1
        self.row[ACTIVE] = self.connections
        if self.on_change is not None:
            self.on_change()

    def _beat(self) -> None:
        if self.connections:
            self.row[HEARTBEAT] = monotonic_ns()
            self._timer = self._loop.call_later(BEAT, self._beat)
        else:
            self.row[HEARTBEAT] = 0
            self._timer = None

    def begin(self, flight: object) -> None:
        """A request begins; several may be in flight."""
        now = monotonic_ns()
        row = self.row
        row[STARTED] += 1
        if not self.flights:
            row[SINCE] = now
        self.flights[flight] = now

    def end(self, flight: object, outcome: int = 0) -> int:
        """It is over; `outcome` is a counter's cell, 0: fine. Returns nanoseconds."""
        began = self.flights.pop(flight)
        took = monotonic_ns() - began
        row = self.row
        if row[SINCE] == began:
            row[SINCE] = next(iter(self.flights.values())) if self.flights else 0
        row[BUSY] += took
        if outcome:
            row[outcome] += 1
        row[BUCKETS + bisect_left(BOUNDS_NS, took)] += 1
        self.count()
        return took

    def count(self) -> None:
        """One more request is done; see whether it was the last that this worker should serve."""
        self._done += 1
        if self._done == self.limit and self.last_request is not None:
            self.last_request()

    def traffic(self, received: int, sent: int) -> None:
        if received:
            self.row[RECEIVED] += received
        if sent:
            self.row[SENT] += sent
