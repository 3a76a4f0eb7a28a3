"""What all HTTP connections of one worker share: the limits, the clock, who is connected, and how much was refused."""

import asyncio
import logging
import socket
from contextlib import nullcontext
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from forkful.worker.eventloop.acceptor import AT_ONCE
from forkful.worker.eventloop.accounting import Accounting
from forkful.worker.eventloop.brief import Manner
from forkful.worker.eventloop.brief_transport import BriefTransport, bare_socket
from forkful.worker.http.access_log import Access
from forkful.worker.http.asked import outcome_of
from forkful.worker.http.budget import ANSWERS, Budget
from forkful.worker.http.http1 import HttpConnection
from forkful.worker.http.limits import Limits
from forkful.worker.http.response import Stamp
from forkful.worker.http.wire import BUSY
from forkful.worker.net.trust import NOBODY, Trust

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from forkful.worker.eventloop.acceptor import Make
    from forkful.worker.http.wire import Guest, Subject
    from forkful.worker.net.local_address import LocalAddress

log = logging.getLogger("forkful.http")

_COARSEST, _FINEST = 2.0, 0.05  # seconds between two looks at the clock while something is connected


class HttpService:
    """Shared by the connections of one loop. Subclassed for what is behind: WSGI or ASGI."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        accounting: Accounting,
        limits: Limits,
        *,
        trust: Trust = NOBODY,
        access: Access | None = None,
    ) -> None:
        self.loop = loop
        self.manner = Manner(is_last=_is_last, moved=_moved)
        self.accounting = accounting
        self.row = accounting.row
        self.limits = limits
        self.harmless, self.most_lines = limits.harmless, limits.fields + 2
        self.trust = trust
        self.access = access
        self.stamp = Stamp()
        self.answers = Budget(ANSWERS)
        self.closing = limits.keep_alive <= 0  # answers are the last of their connections
        self.leaving = 0  # since when the worker leaves (monotonic ns)
        self.connections: set[Guest] = set()
        self.lock: AbstractContextManager[object] = nullcontext()  # where a thread writes to the same row as the loop
        self._timer: asyncio.TimerHandle | None = None
        self.incognito = False  # a listener of ours has an address that does not say HTTP, so the master did not know

    def maker(self, local: "LocalAddress") -> "Make[asyncio.Protocol]":
        """What makes the protocol of a connection just accepted."""
        raise NotImplementedError

    def welcome(self) -> int:
        """How many more connections may come at once; 0 while more than can be worked on is waiting here already."""
        return AT_ONCE

    @property
    def busy(self) -> int:
        """Calls of the application that outlive their connection; a drain waits for them too."""
        return 0

    def opened(self, connection: "Guest") -> None:
        self.connections.add(connection)
        if self.incognito:
            self._take_the_kernels_clock(bare_socket(connection.transport))
        self.accounting.opened()
        self.accounting.taken(connection.transport)
        if self._timer is None:
            self._sweep()

    @staticmethod
    def _take_the_kernels_clock(sock: Any) -> None:  # Any: a socket, or what uvloop has instead of one
        """The listener's `write_timeout` is the kernel's. Our own tells the client, too."""
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)

    def closed(self, connection: "Guest") -> None:
        self.connections.discard(connection)
        self._account(connection)
        self.accounting.closed()

    def drain(self) -> None:
        """Answer what comes, say `Connection: close` with it, and give idle connections a moment for a last request."""
        self.closing = True
        self.leaving = self.leaving or monotonic_ns()
        if self._timer is not None:
            self._timer.cancel()
            self._sweep()

    @property
    def stuck(self) -> bool:
        """Whether something goes on that cannot be cut short: a thread in the application."""
        return False

    async def close(self) -> None:
        """The last thing. Connections that are still there are cut off."""
        for connection in tuple(self.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # their `connection_lost`
        await asyncio.sleep(0)

    def refused(self, connection: "Guest", subject: "Subject", code: int, why: str) -> None:
        """A request that no application saw."""
        log.debug("%s: %d: %s", connection.peer(), code, why)
        with self.lock:
            self.accounting.refuse(outcome_of(code), code)
        if self.access is not None:
            self.access.request(subject, code, 0, 0)

    def failed(self, connection: "Guest", error: BaseException, what: str, request: str) -> None:
        """The application failed: one record, with its traceback and the peer."""
        log.error("%s %s from %s", what, request, connection.peer(), exc_info=error)

    def complain(self, connection: "Guest", what: str) -> None:
        """The application made a mistake that the client does not notice."""
        log.error("%s: %s", connection.peer(), what)

    def _account(self, connection: "Guest") -> None:
        received, sent = connection.received, connection.sent  # they only grow, another thread may be writing
        self.accounting.traffic(received - connection.accounted[0], sent - connection.accounted[1])
        connection.accounted = received, sent

    def _sweep(self) -> None:
        """Look at every connection's clock, and come back when the next is due. No connection, no timer."""
        now = monotonic_ns()
        limits = self.limits
        times = limits.keep_alive, limits.header_timeout, limits.body_timeout, limits.write_timeout
        shortest = min(_COARSEST, *(t for t in times if t > 0))
        nearest = now + int(shortest * 1e9)
        for connection in tuple(self.connections):
            self._account(connection)
            due = connection.overdue(now)
            if now < due < nearest:
                nearest = due
        if self.connections:
            self._timer = self.loop.call_later(max(_FINEST, (nearest - now) / 1e9), self._sweep)
        else:
            self._timer = None


def _is_last(protocol: Any) -> bool:  # Any: a connection, or what took over from it
    """Whether it answers the last request of its connection."""
    return isinstance(protocol, HttpConnection) and protocol.phase == BUSY and not protocol.keep


def _moved(protocol: Any, brief: BriefTransport, real: Any) -> None:  # Any: as above; a transport of either loop
    """What comes asks the loop's transport without a detour."""
    if protocol.transport is brief:
        protocol.transport = real
