"""Accepting on a shared listener, fairly: who already holds more than its share leaves the next connection to others.

Every event loop of a pool is woken by every connection, and the fastest would take them all. So each looks at what
the others hold (their rows on the scoreboard) and steps back for a moment when it is ahead. Seats that do not accept
(starting, draining, full) are not waited for, and one that says it accepts but does not, because it is stuck or dead,
holds the gate shut for `PATIENCE` once a second and no longer. `max_connections` is back-pressure: what does not fit
waits in the kernel, where another worker finds it.
Can go wrong: descriptors or memory run out: a pause, told once per episode (`trouble`).
"""

import asyncio
import os
import socket
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from forkful.worker.errors import BUSY, EMPTY, THEIRS
from forkful.worker.scoreboard import ACCEPTED, ACCEPTING, ACTIVE
from forkful.worker.trouble import Trouble

if TYPE_CHECKING:
    from forkful.worker.aio_ledger import Ledger
    from forkful.worker.scoreboard import Scoreboard

PAUSE: Final = 0.001  # seconds to step back for
PATIENCE: Final = 0.02  # seconds after which those we step back for count as stuck
FORGET: Final = 1.0  # seconds until a stuck seat is given another chance
AT_ONCE: Final = 8  # connections per turn of the loop
_BREATH: Final = 0.25  # seconds until the next try when something has run out
_LOOK: Final = 0.25  # seconds that the list of seats stays good

Make = Callable[[object], asyncio.BaseProtocol]


class Room(Protocol):
    """What else decides whether more may be taken."""

    @property
    def saturated(self) -> bool: ...


class Gate:
    """Compares what this worker holds with the other seats of its pool."""

    def __init__(self, board: "Scoreboard", pool: int, row: "memoryview[int]") -> None:
        self._board = board
        self._pool = pool
        self._mine = row
        self._seats: list[memoryview[int]] = []
        self._looked = 0.0
        self._shut = 0.0  # since when we step back, 0: we do not
        self._stuck: dict[int, tuple[float, int]] = {}  # by position: until when, and what it had taken by then

    def allowance(self, now: float) -> int:
        """How many connections may be taken now; 0 or less: step back."""
        if now - self._looked > _LOOK:
            self._look(now)
        mine = self._mine[ACTIVE]
        least = mine
        for number, seat in enumerate(self._seats):
            if seat[ACCEPTING] and seat[ACTIVE] < least and not self._is_stuck(number, seat, now):
                least = seat[ACTIVE]
        allowed = least + 2 + least // 8 - mine
        if allowed > 0:
            self._shut = 0.0
        elif not self._shut:
            self._shut = now
        elif now - self._shut > PATIENCE:
            self._give_up(now, mine)
            return 1
        return allowed

    def _look(self, now: float) -> None:
        seats = self._board.seats(self._pool)
        if len(seats) != len(self._seats):
            self._stuck.clear()
        self._seats, self._looked = seats, now

    def _is_stuck(self, number: int, seat: "memoryview[int]", now: float) -> bool:
        known = self._stuck.get(number)
        if known is None:
            return False
        if now < known[0] and _taken(seat) == known[1]:
            return True
        del self._stuck[number]
        return False

    def _give_up(self, now: float, mine: int) -> None:
        """Those that hold less have had their chance."""
        self._shut = 0.0
        for number, seat in enumerate(self._seats):
            if seat[ACCEPTING] and seat[ACTIVE] + 2 + seat[ACTIVE] // 8 <= mine:
                self._stuck[number] = now + FORGET, _taken(seat)


def _taken(seat: "memoryview[int]") -> int:
    return sum(seat[ACCEPTED : ACCEPTED + 16])


class Acceptor:
    """One listener on one event loop."""

    def __init__(  # noqa: PLR0913, PLR0917  # where a listener, a loop and a service meet
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        cell: int,
        gate: Gate,
        ledger: "Ledger",
        room: Room,
        make: Make,
        *,
        limit: int,
    ) -> None:
        self.sock = sock
        self._loop = loop
        self._cell = ACCEPTED + cell
        self._gate = gate
        self._ledger = ledger
        self._room = room
        self._make = make
        self._limit = limit
        self._timer: asyncio.TimerHandle | None = None
        self._emptied: Callable[[], None] | None = None
        self._watching = False
        self._closed = False
        self._trouble = Trouble()
        os.set_blocking(sock.fileno(), False)

    def __str__(self) -> str:
        name = self.sock.getsockname()
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)

    def start(self) -> None:
        """Accept, from now on or again."""
        self._timer = None
        if not self._watching and not self._closed:
            self._watching = True
            self._loop.add_reader(self.sock.fileno(), self._ready)

    def stop(self) -> None:
        """Accept no more. What is in the queue belongs to the others."""
        self._pause(None)
        self._closed = True
        if self._emptied is not None:
            done, self._emptied = self._emptied, None
            done()

    def empty(self, done: Callable[[], None]) -> None:
        """Take all that is in the queue, whatever the gate says, then stop and call `done`."""
        self._emptied = done
        if self._closed:
            self.stop()
            return
        if self._timer is not None:
            self._timer.cancel()
        self.start()
        self._loop.call_soon(self._ready)

    def _pause(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self.sock.fileno())
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self.start)

    def _ready(self) -> None:
        if self._closed or not self._watching:
            return
        ledger = self._ledger
        allowed = AT_ONCE
        if self._emptied is None:
            room = self._limit - ledger.connections
            if room <= 0:
                ledger.row[ACCEPTING] = 0
                self._pause(None)
                ledger.when_room(self._limit, self._resume)
                return
            if self._room.saturated:
                self._pause(PAUSE)
                return
            allowed = min(self._gate.allowance(monotonic()), room, AT_ONCE)
            if allowed <= 0:
                self._pause(PAUSE)
                return
        for _ in range(allowed):
            if not self._take():
                return

    def _resume(self) -> None:
        self._ledger.row[ACCEPTING] = 1
        self.start()

    def _take(self) -> bool:
        """Accept one and give it to its protocol; False if there is none, or it is not the time."""
        try:
            sock, address = self.sock.accept()
        except OSError as error:
            return self._recover(error)
        self._trouble.over(self)
        row = self._ledger.row
        row[self._cell] += 1
        adopt(self._loop, self._make(address), sock)
        return True

    def _recover(self, error: OSError) -> bool:
        if error.errno in EMPTY:
            if self._emptied is not None:
                self.stop()
            return False
        if error.errno in THEIRS:
            return True
        if error.errno in BUSY:
            self._trouble.began(self, error)
            self._pause(_BREATH)
            return False
        raise error


def adopt(loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol, sock: socket.socket) -> None:
    """Make a transport for an accepted socket, without a task of its own: what `connect_accepted_socket` waits for
    is the call of `connection_made`, which needs no waiting of ours."""
    coroutine: Any = loop.connect_accepted_socket(lambda: protocol, sock)  # Any: driven by hand, as a task would
    try:
        waiter = coroutine.send(None)
    except StopIteration:
        return
    waiter._asyncio_future_blocking = False  # noqa: SLF001  # the agreement between futures and who drives them
    waiter.add_done_callback(lambda _: _finish(coroutine, sock))


def _finish(coroutine: Any, sock: socket.socket) -> None:  # Any: as above
    try:
        coroutine.send(None)
    except StopIteration:
        return
    except Exception:  # noqa: BLE001  # the transport could not be made: the peer is gone already
        sock.close()
