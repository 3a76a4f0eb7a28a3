"""Handlers of connections on the event loop that are coroutines: `async def handle(reader, writer)`.

A coroutine's connection is one request: it begins when the coroutine is called and ends with it, and is in flight for
`timeout`.
Can go wrong: the handler raises: one record with its traceback and the peer. A peer that is gone is no error of ours.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from forkful.worker.eventloop.acceptor import AT_ONCE, Make
from forkful.worker.eventloop.brief import Manner
from forkful.worker.eventloop.brief_transport import BriefTransport
from forkful.worker.eventloop.flight import Flight
from forkful.worker.eventloop.proxied_transport import proxied
from forkful.worker.eventloop.still import StillConnections
from forkful.worker.ipc.scoreboard import ERROR, RESET, TIMEOUT
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.address_words import in_words
from forkful.worker.net.counted_socket import FIN_SEEN, INFO_SIZE, TCP, TCP_INFO, read_info
from forkful.worker.net.stillness import NO_LIMITS, StillLimits, Stillness

if TYPE_CHECKING:
    from forkful.worker.eventloop.accounting import Accounting

logger = logging.getLogger("forkful.worker")

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]
LIMIT: Final = 65_536  # bytes of a line, asyncio's own default
CLEANUP: Final = 0.5  # seconds for what is cancelled
TURNS: Final = 2  # of the loop, in which a handler that only answers is done
_GONE = (ConnectionError, asyncio.IncompleteReadError)


class StreamService:
    """Serves coroutines. `connections` are the protocols that are open, each with its task."""

    busy = 0
    stuck = False
    manner = Manner(turns=TURNS)

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        accounting: "Accounting",
        handle: Handle,
        limits: StillLimits = NO_LIMITS,
        reader_limit: int = LIMIT,
    ) -> None:
        self.still = StillConnections(loop, limits, lambda: self.connections)
        self.loop = loop
        self.accounting = accounting
        self.handle = handle
        self.reader_limit = reader_limit
        self.connections: set[StreamConnection] = set()

    def welcome(self) -> int:
        return AT_ONCE

    def maker(self, local: object) -> "Make[StreamConnection]":  # noqa: ARG002  # as HTTP's
        return partial(StreamConnection, self)

    def drain(self) -> None:
        """Connections are given the time; a handler that wants to know asks `forkful.handlers.draining()`."""

    async def close(self) -> None:
        """Time is up: cancel what is left, and let it clean up."""
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLEANUP)


class StreamConnection(asyncio.StreamReaderProtocol, Flight):
    """One connection with its reader, its writer and the task that serves it."""

    def __init__(self, service: StreamService, accepted: Accepted | None = None) -> None:
        self._accepted = accepted
        # Held here: the base class has a weak reference only.
        self._reader = asyncio.StreamReader(service.reader_limit, service.loop)
        super().__init__(self._reader, None, service.loop)
        self.service = service
        self.address: object = None
        self.task: asyncio.Task[None] | None = None
        self.wire: asyncio.Transport | None = None
        self.began = 0
        self.stillness: Stillness | None = None
        self.expired = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        shown = proxied(transport, self._accepted)
        super().connection_made(shown)
        self._client_connected_cb = self.service.handle  # by which `StreamWriter.start_tls` knows the server's side
        self.wire = transport  # type: ignore[assignment]  # it is one
        service = self.service
        service.connections.add(self)
        service.still.wake()
        service.accounting.opened()
        service.accounting.taken(transport)
        self.address = transport.get_extra_info("peername") if self._accepted is None else self._accepted.peer
        writer = asyncio.StreamWriter(shown, self, self._reader, service.loop)
        self.began = service.accounting.begin(self)
        self.task = service.loop.create_task(self._serve(self._reader, writer))

    def __str__(self) -> str:
        return f"connection of {in_words(self.address)}"

    @property
    def waits(self) -> bool:
        """Whether its handler waits for the client."""
        return self._reader._waiter is not None  # type: ignore[attr-defined]  # noqa: SLF001  # nothing else tells

    def eof_received(self) -> bool:
        """The client may still listen, also over TLS, where asyncio's own transport would close."""
        super().eof_received()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if self.wire is not None:
            self.service.accounting.traffic(*traffic(self.wire))
        super().connection_lost(error)
        self.service.connections.discard(self)
        self.service.accounting.closed()

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
            outcome = TIMEOUT if self.expired else outcome
            self.service.accounting.end(self, self.began, outcome)
            writer.close()

    def _failed(self, error: BaseException, writer: asyncio.StreamWriter) -> int:
        who = in_words(self.address)
        if self.expired:
            logger.debug("ended %s for its %s", who, self.expired)
            return TIMEOUT
        reader, causes = self._reader, _causes(error)
        read = reader.exception()
        if isinstance(read, OSError) and read.errno == errno.ETIMEDOUT and any(each is read for each in causes):
            logger.debug("the peer %s took nothing (write_timeout)", who)
            return TIMEOUT
        gone = writer.is_closing() or read is not None or reader.at_eof()
        if gone and all(_of_the_peer(each) for each in causes):
            logger.debug("the peer %s is gone: %s", who, error)
            return RESET
        logger.error("the handler failed for %s", who, exc_info=error, extra={"peer": who})
        return ERROR


def _causes(error: BaseException) -> list[BaseException]:
    """The error itself, or what a task group has gathered."""
    if isinstance(error, BaseExceptionGroup):
        return [cause for each in error.exceptions for cause in _causes(each)]
    return [error]


def _of_the_peer(error: BaseException) -> bool:
    """Whether it only says that nobody is there. uvloop has no class for it where asyncio's transports say nothing."""
    return isinstance(error, _GONE) or (
        isinstance(error, RuntimeError) and str(error).endswith("the handler is closed")
    )


def traffic(transport: Any) -> tuple[int, int]:  # Any: a transport of either loop
    """(received, sent) of a TCP connection that is about to be closed, as the kernel counted."""
    if isinstance(transport, BriefTransport) and (counted := transport.counted()) is not None:
        return counted if transport.is_tcp else (0, 0)
    sock = transport.get_extra_info("socket")
    try:
        if sock is None or sock.family == socket.AF_UNIX:
            return 0, 0
        state, received, unsent, sent, again = read_info(sock.getsockopt(TCP, TCP_INFO, INFO_SIZE))
    except (OSError, ValueError):
        return 0, 0
    return (received - 1 if state > FIN_SEEN and received else received), sent - again + unsent
