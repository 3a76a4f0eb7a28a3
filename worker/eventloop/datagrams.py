"""Factories of `asyncio.DatagramProtocol` on `udp` and `unixgram`: one protocol per listener, each datagram a request.

Can go wrong: the protocol raises: one record with its traceback and the sender, counted, and the endpoint goes on. In
its `connection_made`: nobody knows what it is without, so the worker does not begin (`BootError`).
"""

import asyncio
import fcntl
import logging
import os
import socket
import struct
import termios
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from forkful.handlers.load import describe, trim
from forkful.worker.eventloop.flight import Flight
from forkful.worker.eventloop.unix_datagrams import UnixDatagramTransport
from forkful.worker.ipc.boot_error import BootError
from forkful.worker.ipc.scoreboard import ACCEPTED, ERROR, RECEIVED, SINCE, STARTED
from forkful.worker.net.address_words import in_words
from forkful.worker.net.answering_socket import AnsweringSocket, is_wildcard
from forkful.worker.net.listener_steps import Doorkeeper
from forkful.worker.net.steps import refusal_cell

if TYPE_CHECKING:
    from collections.abc import Callable

    from forkful.worker.eventloop.accounting import Accounting

logger = logging.getLogger("forkful.worker")


class Datagrams(asyncio.DatagramProtocol, Flight):
    """Between the endpoint and the user's protocol: counts, and survives what it does."""

    def __init__(  # Any: the user's protocol
        self, inner: Any, accounting: "Accounting", cell: int, refuses: Doorkeeper | None = None
    ) -> None:
        self._inner = inner
        self._row = accounting.row
        self._finish = accounting.finish
        self._address: Any = None  # Any: many shapes; of the datagram that is being served
        self._cell = ACCEPTED + cell
        self._listener = cell
        self._refuses = refuses
        self.transport: asyncio.DatagramTransport | None = None
        self.failed: BaseException | None = None  # what its `connection_made` raised
        self.pause_writing, self.resume_writing = inner.pause_writing, inner.resume_writing  # type: ignore[method-assign]

    def __str__(self) -> str:
        return f"datagram of {in_words(self._address)}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # it is one
        try:
            self._inner.connection_made(transport)
        except BaseException as error:  # noqa: BLE001  # the user's code, SystemExit included
            self.failed = error

    def connection_lost(self, error: Exception | None) -> None:
        self._inner.connection_lost(error)

    def error_received(self, error: Exception) -> None:
        """An earlier reply met nobody; the endpoint goes on."""
        self._inner.error_received(error)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # Any: many shapes
        row = self._row
        if self._refuses is not None and (reason := self._refuses(addr)) is not None:
            row[self._cell] += 1
            row[refusal_cell(self._listener, reason)] += 1
            return
        row[STARTED] += 1
        row[SINCE] = began = monotonic_ns()
        row[self._cell] += 1
        self.began, self._address = began, addr
        outcome = 0
        try:
            self._inner.datagram_received(data, addr)
        except BaseException:  # SystemExit and KeyboardInterrupt end no worker
            outcome = ERROR
            who = in_words(addr)
            logger.exception("the handler failed for a datagram from %s", who, extra={"peer": who})
        row[RECEIVED] += len(data)
        self._finish(row, monotonic_ns() - began, outcome)
        row[SINCE] = 0
        self.began = 0


class Endpoint:
    """One datagram listener on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, protocol: Datagrams) -> None:
        self.sock = sock
        self.stopped = False  # for good
        self._loop = loop
        self._protocol = protocol

    async def start(self) -> None:
        """The endpoint gets a descriptor of its own, for it closes it. Raises `BootError`."""
        wild = is_wildcard(self.sock)
        own = AnsweringSocket.on(os.dup(self.sock.fileno())) if wild else self.sock.dup()
        if wild or own.family == socket.AF_UNIX:
            UnixDatagramTransport(self._loop, own, self._protocol)
            await asyncio.sleep(0)  # its `connection_made`
        else:
            await self._loop.create_datagram_endpoint(lambda: self._protocol, sock=own)
        if (error := self._protocol.failed) is not None:
            raise BootError(f"connection_made of the protocol failed: {describe(error)}", trim(error))

    def stop(self) -> None:
        """Receive no more; what is queued belongs to the others who share the socket, or to who is next in our slot."""
        self.stopped = True
        if self._protocol.transport is not None:
            self._protocol.transport.close()

    def empty(self, done: "Callable[[], None]") -> None:
        """Go on until the queue is empty, then stop and call `done`."""
        if _waiting(self.sock):
            self._loop.call_later(0.001, self.empty, done)
        else:
            self.stop()
            done()


def _waiting(sock: socket.socket) -> bool:
    """Whether a datagram with something in it is queued, udp(7) SIOCINQ."""
    try:
        return bool(struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0])
    except OSError:
        return False
