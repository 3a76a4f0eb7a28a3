"""Accepting on a shared listener by an event loop: fairly, with back-pressure, and never only to drop.

`max_connections` is back-pressure: what does not fit waits in the kernel, where another worker finds it; so does what
comes while all threads of the application are busy.
Connections are taken by accept(2), several in a turn of the loop where several are there. uvloop's own server would be
cheaper for those that stay (6 us each), but it makes a transport for each and asks nobody whether it may.
Can go wrong: descriptors or memory run out: a pause, told once per episode (`Shortage`).
"""

import asyncio
import errno
import os
import resource
import select
import socket
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from forkful.worker.eventloop.adoption import adopt
from forkful.worker.eventloop.arrivals import Arrivals
from forkful.worker.eventloop.brief import Briefs, Manner
from forkful.worker.ipc.scoreboard import ACCEPTED, ACCEPTING
from forkful.worker.net.accept_errors import BUSY, EMPTY, THEIRS
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.counted_socket import acceptor as accepting
from forkful.worker.net.shortage import Shortage
from forkful.worker.net.steps import Steps
from forkful.worker.net.told_socket import tell_when_closed

if TYPE_CHECKING:
    from forkful.worker.eventloop.accept_balance import AcceptBalance
    from forkful.worker.eventloop.accounting import Accounting

PAUSE: Final = 0.001  # seconds to step back for
AT_ONCE: Final = 8  # connections per turn of the loop, by hand
_BREATH: Final = 0.25  # seconds until the next try when something has run out
_MARGIN: Final = 48  # descriptors that the application may open meanwhile

Made_co = TypeVar("Made_co", bound=asyncio.BaseProtocol, covariant=True)


class Make(Protocol[Made_co]):
    """What makes the protocol of a connection; `accepted` is its record where there were steps, else the socket is."""

    def __call__(self, accepted: Accepted | None = None, /) -> Made_co: ...


class Owner(Protocol):
    """The service that the connections are for."""

    def welcome(self) -> int:
        """How many more connections the service wants at once."""
        ...


class Acceptor:
    """One listener on one event loop."""

    def __init__(  # noqa: PLR0913, PLR0917  # where a listener, a loop and a service meet
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        cell: int,
        balance: "AcceptBalance",
        accounting: "Accounting",
        owner: Owner,
        make: Make[asyncio.BaseProtocol],
        *,
        limit: int,
    ) -> None:
        self.sock = sock
        self._loop = loop
        self._cell = ACCEPTED + cell
        self._balance = balance
        self._accounting = accounting
        self._owner = owner
        self._make = make
        self._limit = limit
        self._timer: asyncio.TimerHandle | None = None
        self._emptied: Callable[[], None] | None = None
        self._watching = False
        self._closed = False
        self._at_once = 1
        self._trouble = Shortage()
        os.set_blocking(sock.fileno(), False)

    def __str__(self) -> str:
        name = self.sock.getsockname()
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)

    # -- start and stop ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Accept, from now on or again."""
        self._timer = None
        if not self._closed:
            self._watch()

    def stop(self) -> None:
        """Accept no more. What is in the queue belongs to the others."""
        self._pause(None)
        self._closed = True
        if self._emptied is not None:
            done, self._emptied = self._emptied, None
            done()

    def empty(self, done: Callable[[], None]) -> None:
        """Take all that is in the queue, whatever the balance says, then stop and call `done`."""
        self._emptied = done
        if self._closed:
            self.stop()
            return
        self._pause(None)
        self._watch()
        self._see_whether_empty()

    def _see_whether_empty(self) -> None:
        if self._closed:
            return
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        if poll.poll(0):
            self._loop.call_later(PAUSE, self._see_whether_empty)
        else:
            self.stop()

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            self._loop.add_reader(self.sock.fileno(), self._ready)

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self.sock.fileno())

    def _pause(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._unwatch()
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self.start)

    def _resume(self) -> None:
        self._accounting.row[ACCEPTING] = 1
        self.start()

    # -- whether, and how many ---------------------------------------------------------------------------------------

    def _allowed(self, coming: int) -> int:
        """How many more may be taken, with `coming` that were just taken; 0: a pause has begun."""
        if self._emptied is not None:
            return AT_ONCE
        accounting = self._accounting
        room = self._limit - accounting.connections - coming
        if room <= 0:
            accounting.row[ACCEPTING] = 0
            self._pause(None)
            accounting.when_room(self._limit, self._resume)
            return 0
        allowed = min(self._owner.welcome(), self._balance.allowance(monotonic()) - coming)
        if allowed <= 0:
            self._pause(PAUSE)
            return 0
        return min(allowed, room)

    def _ready(self) -> None:
        """A connection is in the queue, or was."""
        if self._closed or not self._watching:
            return
        allowed = min(self._allowed(0), self._at_once)
        for _ in range(allowed):
            if not self._take():
                self._at_once = 1  # mostly there is only one, and trying again costs a call
                return
        self._at_once = min(AT_ONCE, self._at_once * 2)

    def _take(self) -> bool:
        """Accept one and give it to its protocol; False if there is none, or it is not the time."""
        raise NotImplementedError

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


class SteppedAcceptor(Acceptor):
    """Where a connection has steps to pass first."""

    def __init__(self, *args: Any, steps: Steps, **kwargs: Any) -> None:  # Any: as `Acceptor`
        super().__init__(*args, **kwargs)
        self._arrivals = Arrivals(self._loop, steps, self._accounting, self._cell - ACCEPTED, self._serve)

    def _take(self) -> bool:
        try:
            sock, peer = self.sock.accept()
        except OSError as error:
            return self._recover(error)
        self._trouble.over(self)
        self._accounting.row[self._cell] += 1
        self._arrivals.begin(sock, peer)
        return True

    def _serve(self, accepted: Accepted) -> None:
        if accepted.left is not None:
            tell_when_closed(accepted)
        protocol = self._make(accepted)
        if accepted.engine is not None:
            from forkful.worker.eventloop.secure_transport import SecureTransport  # noqa: PLC0415  # as ssl itself

            protocol = SecureTransport(self._loop, accepted, protocol)
        adopt(self._loop, protocol, accepted.sock)


class BriefAcceptor(Acceptor):
    """Where there are none: a connection begins without a transport of the loop's."""

    def __init__(self, *args: Any, manner: Manner, **kwargs: Any) -> None:  # Any: as `Acceptor`
        super().__init__(*args, **kwargs)
        self._briefs = Briefs(self._loop, manner, is_tcp=self.sock.family != socket.AF_UNIX)
        self._kind = int(self.sock.family), int(self.sock.type), self.sock.proto
        self._accept = accepting(self.sock)
        self._most = 0  # the first descriptor that is one too many; 0: not asked yet

    def _ready(self) -> None:
        with self._briefs:
            super()._ready()

    def _take(self) -> bool:
        try:
            fd, peer = self._accept()
        except OSError as error:
            return self._recover(error)
        self._accounting.row[self._cell] += 1
        self._briefs.begin(socket.SocketType(*self._kind, fd), peer, self._make())
        if fd < self._most:
            self._trouble.over(self)
            return True
        return self._leaves_some(fd)

    def _leaves_some(self, fd: int) -> bool:
        """Whether there are descriptors left for the application; if not, a pause has begun."""
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _MARGIN
        if fd < self._most:
            return True
        if self._emptied is None:
            self._recover(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
        return False
