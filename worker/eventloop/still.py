"""Still connections on an event loop: looked at now and then, and ended where they are beyond a limit.

Without limits, or without connections, nothing of this runs.
Can go wrong: a transport is closing already: there is nothing to end.
"""

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Protocol

from forkful.worker.net.stillness import StillLimits, Stillness


class Connection(Protocol):
    """What is looked at."""

    stillness: Stillness | None
    expired: str  # the limit that it is being ended for
    wire: Any  # a transport of either loop; None: not yet

    @property
    def waits(self) -> bool:
        """Whether its handler waits for the client to send."""
        ...


class StillConnections:
    """Those of one service."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limits: StillLimits, connections: Callable[[], Iterable[Connection]]
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._any = bool(limits)
        self._connections = connections
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """There is a new one."""
        if self._any and self._timer is None:
            self._timer = self._loop.call_later(self._limits.every, self._look)

    def _look(self) -> None:
        self._timer = None
        now = monotonic()
        for connection in tuple(self._connections()):
            self.wake()
            wire = connection.wire
            if wire is None or wire.is_closing():
                continue
            if connection.stillness is None:
                connection.stillness = Stillness(now)
            limit = connection.stillness.exceeds(
                self._limits, wire.get_extra_info("socket"), now, waits=connection.waits
            )
            if limit:
                connection.expired = limit
                wire.abort()
