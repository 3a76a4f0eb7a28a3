"""A brief transport: a connection that is served from the accepted socket while it may still be over soon.

A transport of the loop's costs ten system calls, and most of what a short connection costs. So a connection begins
with this one, which receives once and sends at once; only when it stays, or when not all of its answer could be sent,
does it get one of the loop's (`_move`), which from then on answers to all that this one is asked. Its protocol notices
nothing: what it asks for meanwhile is done when the other is there.
Can go wrong: the client is gone: `connection_lost`, as from any transport.
"""

import asyncio
import errno
import fcntl
import os
import socket
import termios
from asyncio.trsock import TransportSocket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from forkful.worker.eventloop.adoption import adopt

if TYPE_CHECKING:
    from contextvars import Context

    from forkful.worker.eventloop.brief import Briefs

SIZE: Final = 16_384  # bytes received at once: as much as a request without a body may be, and mostly is
_NOW: Final = socket.MSG_DONTWAIT
_NONE: Final = bytes(4)  # of an int, as the kernel has it
_GONE: Final = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError)  # what no loop makes a word of
_HIGH: Final = 65_536  # bytes that may wait unsent before the protocol is told, asyncio's own default
#: What the loop's transport does itself once it is there, and once it reads.
_TAKEN_OVER: Final = (
    "abort", "close", "get_extra_info", "get_protocol", "get_write_buffer_limits", "get_write_buffer_size",
    "is_closing", "set_protocol", "set_write_buffer_limits", "write", "write_eof", "writelines",
)  # fmt: skip
_READING: Final = "is_reading", "pause_reading", "resume_reading"


class BriefTransport(asyncio.Transport):
    """Of one connection. The methods that are taken over become attributes, so that they cost what they cost there.

    `sock` is the C half of a socket, until somebody wants to see it: the other half would cost 3 us.
    """

    # What most never set has its value in the class.
    context: "Context | None" = None  # that the protocol is called in; None: it does not matter
    moving = False  # the loop makes a transport, or has made it
    received = sent = 0  # bytes
    protocol: Any = None  # Any: of any kind, or what stands in for it
    _closing = _eof = _paused = False
    _over = False  # it is closed, and its protocol is told next
    _told = False  # the protocol, to write no more
    _unsent: bytearray | None = None  # None: everything is sent, and nothing ever had to wait
    _limits: tuple[int | None, int | None] | None = None
    _shown: TransportSocket | None = None
    _real: Any = None  # Any: a transport of either loop
    _settled: "asyncio.Future[None] | None" = None

    def __init__(self, briefs: "Briefs", sock: socket.SocketType, peer: Any) -> None:  # Any: an address of any kind
        self._briefs = briefs
        self.sock = sock
        self.peer = peer

    def begin(self, protocol: asyncio.BaseProtocol) -> None:
        """Tell the protocol of its connection, and give it what is there already."""
        self.protocol = protocol
        protocol.connection_made(self)
        if isinstance(protocol, asyncio.BufferedProtocol):
            self.move()
        self.receive()

    def receive(self) -> None:
        """Once, without waiting."""
        if self._closing or self.moving or self._paused:
            return
        try:
            data = self.sock.recv(SIZE, _NOW)
        except (BlockingIOError, InterruptedError):
            self._briefs.watch(self)
            return
        except OSError as error:
            self._fail(error, "receiving failed")
            return
        if not data:
            self.move()  # the other one reads the end of it again, and knows what to do
            return
        self.received += len(data)
        try:
            self.protocol.data_received(data)
        except BaseException as error:  # noqa: BLE001  # as the loop's own do
            self._fail(error, "protocol.data_received() failed")
            return
        if not self._closing and not self.moving and not self._paused:
            if len(data) == SIZE:
                self.move()
            else:
                self._briefs.received(self, self.protocol)

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Once everything is sent, which is mostly now."""
        if not self._closing:
            self._closing = True
            if not self.moving:
                self._end(None)

    def abort(self) -> None:
        self._end(None)

    def _fail(self, error: BaseException, what: str) -> None:
        if not isinstance(error, _GONE):
            context = {"message": what, "exception": error, "transport": self, "protocol": self.protocol}
            self._briefs.loop.call_exception_handler(context)
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if not self._over:
            self._over = self._closing = True
            self._unsent = None
            self._briefs.ended(self, error)

    def bury(self, error: BaseException | None) -> None:
        """Tell the protocol that it is over. It may still ask the socket then."""
        protocol, self.protocol = self.protocol, None
        try:
            protocol.connection_lost(error)
        finally:
            if not self.moving:
                self.sock.close()

    # -- writing -----------------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:  # Any: bytes, or what is like them
        if type(data) is not bytes:
            data = memoryview(data).tobytes()
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._over:
            return
        if self._unsent is not None:
            self._unsent += data
            self._tell()
            return
        if self.sent:
            self._send_at_once()
        try:
            sent = self.sock.send(data, _NOW)  # also while it moves: the other one has nothing to send yet
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._fail(error, "sending failed")
            return
        self.sent += sent
        if sent < len(data):
            self._unsent = bytearray(data[sent:])
            self._tell()
            self.move()

    def writelines(self, list_of_data: Any) -> None:  # Any: as above
        self.write(b"".join(list_of_data))

    def _send_at_once(self) -> None:
        """A second piece does not wait until the client has acknowledged the first, as with the loop's transports."""
        if self._briefs.is_tcp:
            with suppress(OSError):  # then sending fails as well
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _tell(self) -> None:
        """The protocol, once more waits than it wants to have waiting."""
        if not self._told and self.get_write_buffer_size() > self.get_write_buffer_limits()[1]:
            self._told = True
            self.protocol.pause_writing()

    def write_eof(self) -> None:
        if not self._eof:
            self._eof = True
            self.move()

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return len(self._unsent) if self._unsent is not None else 0

    def get_write_buffer_limits(self) -> tuple[int, int]:
        high, low = (None, None) if self._limits is None else self._limits
        if high is None:
            high = _HIGH if low is None else 4 * low
        return high // 4 if low is None else low, high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._limits = high, low
        if high == 0 and not low:  # ours, nearly always
            return
        low, high = self.get_write_buffer_limits()
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")

    # -- reading -----------------------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Nothing is read then, so nothing has to be moved before it is resumed."""
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self.move()

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    # -- who it is ---------------------------------------------------------------------------------------------------

    @property
    def is_tcp(self) -> bool:
        return self._briefs.is_tcp

    def counted(self) -> tuple[int, int] | None:
        """Bytes received and sent; None: ask the kernel, for others may have had a hand in it."""
        return None if self.moving or self._shown is not None else (self.received, self.sent)

    def is_closing(self) -> bool:
        return self._closing

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._briefs.handover(self.protocol)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            self.move()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # Any: as of asyncio
        match name:
            case "peername":
                return self.peer
            case "socket":
                if self._shown is None:
                    self._shown = TransportSocket(self._whole_socket())
                return self._shown
            case "sockname":
                return self.sock.getsockname()
        return default

    # -- to a transport of the loop's --------------------------------------------------------------------------------

    def move(self) -> None:
        """Have the loop make one; it is there in its next turn."""
        if self.moving or self._over:
            return
        self.moving = True
        heir = _Heir(self)
        try:
            self.sock.getpeername()  # libuv makes a transport also for a connection that is gone, and then complains
        except OSError as error:
            self.moving = False
            number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNRESET
            self._end(OSError(number, os.strerror(number)).with_traceback(error.__traceback__))
            return
        try:
            adopt(self._briefs.loop, heir, self._whole_socket())
            self._briefs.loop.call_soon(heir.settle)
        except OSError as error:
            self.moving = False
            self._end(error)

    def _whole_socket(self) -> socket.socket:
        """With all that sockets have in Python. Whoever writes to it directly must not wait in the loop."""
        sock = self.sock
        if not isinstance(sock, socket.socket):
            sock = self.sock = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        sock.setblocking(False)
        return sock

    def arrive(self, real: Any, heir: "_Heir") -> None:  # Any: a transport of either loop
        """It is there: hand over the connection, and what was asked for meanwhile."""
        if self._over:
            real.abort()
            return
        if self._limits is not None:
            real.set_write_buffer_limits(*self._limits)
        if self._unsent is not None:
            real.write(bytes(self._unsent))
            self._unsent = None
        real.set_protocol(self.get_protocol())
        for name in _TAKEN_OVER:
            setattr(self, name, getattr(real, name))
        if self._told and not heir.told:
            self.protocol.resume_writing()
        if self._eof:
            real.write_eof()
        if self._closing:
            real.close()
        protocol, self.protocol = self.protocol, None
        if self._briefs.moved is not None:
            self._briefs.moved(protocol, self, real)

    def settle(self, real: Any) -> None:  # Any: as above
        """It reads."""
        if self._paused and not real.is_closing():
            real.pause_reading()
        for name in _READING:
            setattr(self, name, getattr(real, name))
        self._real = real
        if self._settled is not None:
            self._settled.set_result(None)

    async def settled(self, *, paused: bool = False) -> Any:  # Any: as above
        """The loop's own, for what takes no other; `paused`: what comes meanwhile is not for the protocol."""
        self._paused = self._paused or paused
        self.move()
        if self._real is None:
            if self._settled is None:
                self._settled = self._briefs.loop.create_future()
            await self._settled
        return self._real


def bare_socket(transport: Any) -> Any:  # Any: a transport; a socket, or what uvloop has instead of one, or None
    """To ask it, or to set an option: `get_extra_info` makes more of it."""
    return transport.sock if isinstance(transport, BriefTransport) else transport.get_extra_info("socket")


def is_unread(transport: Any) -> bool:  # Any: a transport
    """Whether something has come that nobody has read. One of the loop's reads all the time."""
    if not isinstance(transport, BriefTransport) or transport.moving:
        return False
    return fcntl.ioctl(transport.sock, termios.FIONREAD, _NONE) != _NONE


class _Heir(asyncio.Protocol):
    """The protocol of a transport that has just been made, until it has its own."""

    def __init__(self, brief: BriefTransport) -> None:
        self._brief = brief
        self._real: Any = None  # Any: as above
        self.told = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._real = transport
        self._brief.arrive(transport, self)

    def settle(self) -> None:
        """Called next in the same turn of the loop. Now uvloop's, too, can pause; none has read anything yet."""
        real, self._real = self._real, None
        if real is not None:
            self._brief.settle(real)

    def pause_writing(self) -> None:
        self.told = True
