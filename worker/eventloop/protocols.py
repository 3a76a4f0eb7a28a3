"""Handlers of connections on the event loop that are factories of `asyncio.Protocol` or `BufferedProtocol`.

A connection is one request, but nobody can say whether it does anything, so no deadline applies to it; what it can do
wrong is block the loop, which the heartbeat shows (`accounting`). The loop calls the user's protocol without anything
of ours in between; we are there when the connection begins and when it ends, also if the protocol has handed it to
another meanwhile (`transport.set_protocol`).
Can go wrong: the factory or the protocol raises: one record, and the connection is closed and counted as an error.
"""

import asyncio
import contextlib
import errno
import logging
from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from forkful.worker.eventloop.acceptor import AT_ONCE, Make
from forkful.worker.eventloop.brief import Manner
from forkful.worker.eventloop.brief_transport import BriefTransport
from forkful.worker.eventloop.coroutines import CLEANUP, traffic
from forkful.worker.eventloop.flight import Flight
from forkful.worker.eventloop.proxied_transport import proxied
from forkful.worker.eventloop.still import StillConnections
from forkful.worker.ipc.scoreboard import ERROR, RESET, STARTED, TIMEOUT
from forkful.worker.net.accept_errors import PEER
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.address_words import in_words
from forkful.worker.net.stillness import NO_LIMITS, StillLimits, Stillness

if TYPE_CHECKING:
    from forkful.worker.eventloop.accounting import Accounting

logger = logging.getLogger("forkful.worker")

Factory = Callable[[], asyncio.BaseProtocol]


class ProtocolService:
    """Serves protocols of the user's. `connections` are those that are open, by their transport."""

    busy = 0
    stuck = False
    manner = Manner(isolated=True, handover=lambda protocol: protocol.hook() if type(protocol) is _Watch else protocol)

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        accounting: "Accounting",
        factory: Factory,
        limits: StillLimits = NO_LIMITS,
    ) -> None:
        self.connections: dict[Any, _Watch] = {}  # Any: a transport of either loop
        self.still = StillConnections(loop, limits, self.connections.values)
        self.loop = loop
        self.accounting = accounting
        self.factory = factory
        accounting.on_beat = self.look_after

    @property
    def peers(self) -> dict[int, str]:
        """Whom each protocol talks to, by its id; for stacks."""
        watches = tuple(self.connections.items())
        return {id(watch.protocol): in_words(watch.peer) for _, watch in watches}

    def welcome(self) -> int:
        return AT_ONCE

    def maker(self, local: object) -> Make[asyncio.BaseProtocol]:  # noqa: ARG002  # as HTTP's
        return self._make

    def _make(self, accepted: Accepted | None = None, /) -> asyncio.BaseProtocol:
        try:
            protocol = self.factory()
        except BaseException:  # the user's code, SystemExit included
            logger.exception("the protocol factory failed")
            self.accounting.refuse(ERROR)
            return _Nobody()
        watch = _Watch(protocol, self, accepted)
        if accepted is not None or isinstance(protocol, asyncio.BufferedProtocol):
            return watch.hook()
        return watch

    def drain(self) -> None:
        """Connections are given the time; a protocol that wants to know asks `forkful.handlers.draining()`."""
        self.look_after()

    def look_after(self) -> None:
        """Follow connections that were handed to another protocol."""
        for watch in tuple(self.connections.values()):
            watch.look()

    async def close(self) -> None:
        """Time is up: close what is left, and let it clean up."""
        gone = asyncio.Event()
        self.accounting.on_change = lambda: None if self.connections else gone.set()
        for transport in tuple(self.connections):
            transport.close()
        if self.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), CLEANUP)


class _Nobody(asyncio.Protocol):
    """Hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Watch(Flight, asyncio.Protocol):
    """One connection of a user's protocol: we hook in at its two ends, and nowhere else.

    On a brief transport it stands in for the protocol, which then need not be touched.
    """

    waits = True  # it is called with what comes, so it always does
    began = 0
    expired = ""
    stillness: Stillness | None = None
    wire: Any = None  # Any: a transport of either loop
    _failed = False

    def __init__(
        self, protocol: Any, service: ProtocolService, accepted: Accepted | None
    ) -> None:  # Any: the user's class
        self._service = service
        self._accepted = accepted
        self.protocol = protocol
        self.owner: Any = self  # who has the connection; None: it is over
        self._made, self._lost = protocol.connection_made, protocol.connection_lost
        if accepted is None:
            self.data_received = getattr(protocol, "data_received", None)  # type: ignore[assignment]  # none if buffered

    def hook(self) -> asyncio.BaseProtocol:
        """What a transport of the loop's gets: the protocol, with us at its two ends."""
        if self.owner is self:
            protocol = self.owner = self.protocol
            try:
                protocol.connection_made, protocol.connection_lost = self.connection_made, self.connection_lost
            except AttributeError:  # it has slots
                self.owner = _in_between(protocol, self.connection_made, self.connection_lost)
        return self.owner  # type: ignore[no-any-return]  # Any above

    def pause_writing(self) -> None:
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self.protocol.resume_writing()

    def connection_made(self, transport: Any) -> None:
        service = self._service
        self.began, self.wire = monotonic_ns(), transport
        service.accounting.row[STARTED] += 1
        service.connections[transport] = self
        service.still.wake()
        service.accounting.opened()
        service.accounting.taken(transport)
        try:
            self._made(transport if self._accepted is None else proxied(transport, self._accepted))
        except BaseException as error:  # noqa: BLE001  # the user's code, SystemExit included
            self._fail("connection_made", error)
            self._lost = _nothing  # it does not know of its connection, so it is not told of its end either
            transport.abort()
        if self._has() is not self.owner:
            self.look()

    def _has(self) -> Any:  # Any: a protocol
        """Who has the connection now."""
        wire = self.wire
        return wire.protocol if type(wire) is BriefTransport and not wire.moving else wire.get_protocol()

    @property
    def peer(self) -> Any:  # Any: an address
        return self.wire.get_extra_info("peername") if self._accepted is None else self._accepted.peer

    def connection_lost(self, error: Exception | None) -> None:
        try:
            self._lost(error)
        except BaseException as raised:  # noqa: BLE001  # as above
            self._fail("connection_lost", raised)
        self.ended(error)

    def look(self) -> None:
        """Whether it was handed to another protocol, which then has to be watched for its end."""
        now = self._has()
        if now is self.owner:
            return
        if self.wire.is_closing():
            self.ended(None)
            return
        try:
            lost, now.connection_lost = now.connection_lost, self.connection_lost
        except AttributeError:
            return  # it has slots: seen to be closed by a later look
        self._lost, self.owner, self.protocol = lost, now, now

    def _fail(self, what: str, error: BaseException) -> None:
        self._failed = True
        who = in_words(self.peer)
        logger.error("%s failed for %s", what, who, exc_info=error, extra={"peer": who})

    def ended(self, error: BaseException | None) -> None:
        """Count it, once."""
        if self._service.connections.pop(self.wire, None) is None:
            return
        self.owner = None  # mostly itself: all that the connection had would wait for the collector
        accounting = self._service.accounting
        accounting.traffic(*traffic(self.wire))
        outcome = ERROR if self._failed else TIMEOUT if self.expired else 0
        if error is not None and not outcome:  # of the peer, or what `data_received` raised; the loop has told it
            outcome = _of_the_peer(error)
        accounting.finish(accounting.row, monotonic_ns() - self.began, outcome)
        accounting.closed()


def _of_the_peer(error: BaseException) -> int:
    if not isinstance(error, OSError) or error.errno not in PEER:
        return ERROR
    return TIMEOUT if error.errno == errno.ETIMEDOUT else RESET  # the kernel's: write_timeout


def _nothing(_: object) -> None: ...


class _Proxy(asyncio.Protocol):
    """For a protocol with `__slots__`, which cannot be hooked: hands everything on."""


class _BufferedProxy(asyncio.BufferedProtocol):
    """The same for a `BufferedProtocol`."""


def _in_between(
    protocol: Any, made: Callable[..., None], lost: Callable[..., None]
) -> asyncio.BaseProtocol:  # Any: as above
    proxy: Any = _BufferedProxy() if isinstance(protocol, asyncio.BufferedProtocol) else _Proxy()  # Any: gets methods
    proxy.connection_made, proxy.connection_lost = made, lost
    for name in ("data_received", "get_buffer", "buffer_updated", "eof_received", "pause_writing", "resume_writing"):
        if hasattr(protocol, name):
            setattr(proxy, name, getattr(protocol, name))
    return proxy  # type: ignore[no-any-return]  # Any above
