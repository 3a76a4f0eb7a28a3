"""Handlers of connections on the event loop: `async def handle(reader, writer)`, and factories of `asyncio.Protocol`.

A coroutine's connection is one request: it begins when the coroutine is called and ends with it, and is in flight for
`timeout`. A protocol's connection is one request as well, but nobody can say whether it does anything, so no deadline
applies to it; what it can do wrong is block the loop, which the heartbeat shows (`aio_ledger`).
Can go wrong: the handler raises: one record with its traceback and the peer. A peer that is gone is no error of ours.
"""

import asyncio
import logging
import socket
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

from forkful.worker.aio_accept import AT_ONCE
from forkful.worker.connection import FIN_SEEN, INFO_SIZE, TCP, TCP_INFO, read_info
from forkful.worker.errors import PEER
from forkful.worker.listener import address as in_words
from forkful.worker.scoreboard import BOUNDS_NS, BUCKETS, BUSY, ERROR, RESET, STARTED

if TYPE_CHECKING:
    from forkful.worker.aio_ledger import Ledger

logger = logging.getLogger("forkful.worker")

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]
Factory = Callable[[], asyncio.BaseProtocol]
LIMIT: Final = 65_536  # of a reader's buffer, asyncio's own default
_GONE = (ConnectionError, asyncio.IncompleteReadError)


class StreamService:
    """Serves coroutines. `connections` are the protocols that are open, each with its task."""

    busy = 0

    def __init__(self, loop: asyncio.AbstractEventLoop, ledger: "Ledger", handle: Handle) -> None:
        self.loop = loop
        self.ledger = ledger
        self.handle = handle
        self.connections: set[StreamConnection] = set()

    def welcome(self) -> int:
        return AT_ONCE

    def maker(self, door: object) -> "Callable[[], StreamConnection]":  # noqa: ARG002  # as HTTP's
        return partial(StreamConnection, self)

    def drain(self) -> None:
        """Connections are given the time; a handler that wants to know asks `forkful.handlers.draining()`."""

    async def close(self) -> None:
        """Time is up: cancel what is left, and let it clean up."""
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)


class StreamConnection(asyncio.StreamReaderProtocol):
    """One connection with its reader, its writer and the task that serves it."""

    def __init__(self, service: StreamService) -> None:
        self._reader = asyncio.StreamReader(LIMIT, service.loop)  # the base class holds it by a weak reference only
        super().__init__(self._reader, None, service.loop)
        self.service = service
        self.address: object = None
        self.task: asyncio.Task[None] | None = None
        self._wire: asyncio.Transport | None = None
        self._began = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wire = transport  # type: ignore[assignment]  # it is one
        self.address = transport.get_extra_info("peername")
        service = self.service
        service.connections.add(self)
        service.ledger.opened()
        writer = asyncio.StreamWriter(self._wire, self, self._reader, service.loop)  # type: ignore[arg-type]  # as above
        self._began = service.ledger.begin(self)
        self.task = service.loop.create_task(self._serve(self._reader, writer))

    def __str__(self) -> str:
        return f"connection of {in_words(self.address)}"

    def connection_lost(self, error: Exception | None) -> None:
        if self._wire is not None:
            self.service.ledger.traffic(*traffic(self._wire))
        super().connection_lost(error)
        self.service.connections.discard(self)
        self.service.ledger.closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        outcome = ERROR
        try:
            await self.service.handle(reader, writer)
            outcome = 0
        except asyncio.CancelledError:
            outcome = RESET
        except BaseException as error:  # noqa: BLE001  # SystemExit and KeyboardInterrupt end no worker
            outcome = self._failed(error, writer)
        finally:
            self.service.ledger.end(self, self._began, outcome)
            writer.close()

    def _failed(self, error: BaseException, writer: asyncio.StreamWriter) -> int:
        who = in_words(self.address)
        reader = self._reader
        gone = writer.is_closing() or reader.exception() is not None or reader.at_eof()
        if isinstance(error, _GONE) and gone:
            logger.debug("the peer %s is gone: %s", who, error)
            return RESET
        logger.error("the handler failed for %s", who, exc_info=error, extra={"peer": who})
        return ERROR


class ProtocolService:
    """Serves protocols of the user's, which the loop calls without anything of ours in between."""

    busy = 0

    def __init__(self, loop: asyncio.AbstractEventLoop, ledger: "Ledger", factory: Factory) -> None:
        self.loop = loop
        self.ledger = ledger
        self.factory = factory
        self.connections: dict[int, Any] = {}  # the transport of each protocol, by its id: it need not be hashable

    @property
    def peers(self) -> dict[int, str]:
        """Whom each protocol talks to; for stacks."""
        return {key: in_words(wire.get_extra_info("peername")) for key, wire in tuple(self.connections.items())}

    def welcome(self) -> int:
        return AT_ONCE

    def maker(self, door: object) -> Callable[[], asyncio.BaseProtocol]:  # noqa: ARG002  # as HTTP's
        return self._make

    def _make(self) -> asyncio.BaseProtocol:
        try:
            protocol = self.factory()
        except BaseException:  # the user's code, SystemExit included
            logger.exception("the protocol factory failed")
            self.ledger.row[ERROR] += 1
            self.ledger.row[STARTED] += 1
            self.ledger.row[BUCKETS] += 1
            return _Nobody()
        return _watched(protocol, self)

    def drain(self) -> None:
        """Connections are given the time; a protocol that wants to know asks `forkful.handlers.draining()`."""

    async def close(self) -> None:
        """Time is up; the loop's end closes what is left."""


class _Nobody(asyncio.Protocol):
    """Hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _watched(protocol: Any, service: ProtocolService) -> asyncio.BaseProtocol:  # Any: the user's class
    """Hook in at the two ends of the connection, and nowhere else.

    On the instance where it has a dictionary; a class of its own otherwise, which costs some memory once per class.
    """
    watch = _Watch(protocol, service)
    try:
        protocol.connection_made, protocol.connection_lost = watch.connection_made, watch.connection_lost
    except AttributeError:
        return _Proxy(protocol, watch.connection_made, watch.connection_lost)
    return protocol  # type: ignore[no-any-return]  # Any above


class _Watch:
    """Counts one connection of a protocol of the user's. Its outcome is written before the bucket, once."""

    __slots__ = ("_began", "_key", "_lost", "_made", "_outcome", "_service", "_wire")

    def __init__(self, protocol: Any, service: ProtocolService) -> None:  # Any: as above
        self._key = id(protocol)
        self._service = service
        self._made, self._lost = protocol.connection_made, protocol.connection_lost
        self._began = self._outcome = 0
        self._wire: Any = None  # Any: a transport of either loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        service = self._service
        self._began, self._wire = monotonic_ns(), transport
        service.ledger.row[STARTED] += 1
        service.connections[self._key] = transport
        service.ledger.opened()
        try:
            self._made(transport)
        except BaseException as error:  # noqa: BLE001  # the user's code, SystemExit included
            self._failed("connection_made", error)
            self._wire.abort()  # neither loop does, and nobody else has it in hand

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None and not self._outcome:  # what `data_received` raised comes here, too; the loop has told it
            self._outcome = RESET if isinstance(error, OSError) and error.errno in PEER else ERROR
        try:
            self._lost(error)
        except BaseException as raised:  # noqa: BLE001  # as above
            self._failed("connection_lost", raised)
        took = monotonic_ns() - self._began
        ledger = self._service.ledger
        row = ledger.row
        ledger.traffic(*traffic(self._wire))
        row[BUSY] += took
        if self._outcome:
            row[self._outcome] += 1
        row[BUCKETS + bisect_left(BOUNDS_NS, took)] += 1
        self._service.connections.pop(self._key, None)
        ledger.count()
        ledger.closed()

    def _failed(self, what: str, error: BaseException) -> None:
        self._outcome = ERROR
        who = in_words(self._wire.get_extra_info("peername"))
        logger.error("%s failed for %s", what, who, exc_info=error, extra={"peer": who})


class _Proxy(asyncio.Protocol):
    """For a protocol with `__slots__`, which cannot be hooked: hands everything on."""

    def __init__(self, protocol: Any, made: Callable[..., None], lost: Callable[..., None]) -> None:  # Any: as above
        self.connection_made, self.connection_lost = made, lost  # type: ignore[method-assign]
        for name in ("data_received", "eof_received", "pause_writing", "resume_writing"):
            if hasattr(protocol, name):
                setattr(self, name, getattr(protocol, name))


def traffic(transport: Any) -> tuple[int, int]:  # Any: a transport of either loop
    """(received, sent) of a TCP connection that is about to be closed, as the kernel counted."""
    sock = transport.get_extra_info("socket")
    try:
        if sock is None or sock.family == socket.AF_UNIX:
            return 0, 0
        state, received, unsent, sent, again = read_info(sock.getsockopt(TCP, TCP_INFO, INFO_SIZE))
    except (OSError, ValueError):
        return 0, 0
    return (received - 1 if state > FIN_SEEN and received else received), sent - again + unsent
