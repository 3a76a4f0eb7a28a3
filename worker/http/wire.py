"""The wire of an HTTP connection: its transport, its phases, its clock, and how it ends.

Can go wrong: the client goes away, reads or writes too slowly, or not at all. Each has its deadline, and ends in a
status where one can still be sent.
"""

import asyncio
import socket
from time import monotonic_ns
from typing import Final, Protocol

from forkful.worker.http import response
from forkful.worker.http.limits import Limits

# Where a connection is. Plain numbers, because one is compared with every piece that comes.
IDLE, HEAD, BODY, BUSY, LINGER, CLOSED = range(6)

BEHIND: Final = 65_536  # bytes that may wait behind the request being answered before we stop reading
# After an answer that came before the request's end, what still comes is read and dropped, for many clients send all of
# a body before they look for an answer, and a reset would take that from them. As nginx's lingering_close does.
LINGER_BYTES: Final = 1_048_576  # of what is no body
LINGER_SECONDS: Final = 2  # of silence
LINGER_LONGEST: Final = 30  # seconds in all
READ_SECONDS: Final = 60  # a client that reads nothing of its answer for so long is given up
_SECOND: Final = 1_000_000_000
_UNLIMITED: Final = 1 << 62
_TOO_LARGE: Final = 413


class Keeper(Protocol):
    """What a connection asks of the service that it belongs to."""

    limits: Limits
    harmless: int
    most_lines: int
    stamp: response.Stamp
    loop: asyncio.AbstractEventLoop
    closing: bool  # answers are the last of their connections

    def opened(self, wire: "Wire", /) -> None: ...

    def closed(self, wire: "Wire", /) -> None: ...

    def refused(self, wire: "Wire", code: int, why: str, /) -> None: ...

    def failed(self, wire: "Wire", error: BaseException, what: str, request: str = "", /) -> None: ...


class Wire(asyncio.Protocol):
    """One client. `phase` says what its next bytes are, `since` (monotonic ns) when that began."""

    __slots__ = (
        "_deferred", "_eof", "_left", "_paused", "_unsent", "_until", "accounted", "full", "http11", "keep", "method",
        "pending", "phase", "received", "sent", "service", "since", "size", "stalled", "target", "transport",
    )  # fmt: skip

    service: Keeper
    transport: asyncio.Transport

    def __init__(self, service: Keeper) -> None:
        self.service = service
        self.phase = IDLE
        self.since = monotonic_ns()
        self.keep = self.http11 = True
        self.received = self.sent = 0  # bytes
        self.accounted = (0, 0)  # those that are on the scoreboard
        self.pending = bytearray()  # not looked at yet
        self.stalled = False  # the peer does not read: our answers wait in the transport
        self.full = False  # a subclass has taken all of the body that it wants for now
        self.method = self.target = b""
        self.size = 0  # of the body so far
        self._left = 0  # of the body; of what is dropped at the end
        self._until = 0  # when to stop reading what is dropped
        self._eof = self._paused = False
        self._deferred = False  # what is pending has its turn when others have had theirs
        self._unsent = (0, -1)  # when the unsent bytes were last seen to change, and how many they were

    # -- what a subclass does ----------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Go on with what is pending."""
        raise NotImplementedError

    def _gone(self, before: int) -> None:
        """The client is gone in the middle of a request; `before` is the phase it was in."""
        raise NotImplementedError

    def field(self, name: str) -> str:
        """A field of the request, or ""; for the log."""
        raise NotImplementedError

    def answer_field(self, name: str) -> str:  # noqa: ARG002
        """A field that the application's answer has, or ""; for the log."""
        return ""

    def variable(self, name: str) -> str:  # noqa: ARG002
        """A variable of the request's environ, or ""; for the log."""
        return ""

    # -- the transport's side ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # it is one; typeshed says no more than the base
        self.transport.set_write_buffer_limits(high=0)  # `stalled` is exact: there is something unsent
        self.service.opened(self)

    def eof_received(self) -> bool:
        """The client has no more to say. It may still listen, so an answer on its way is finished."""
        self._eof = True
        return self.phase == BUSY or ((self.stalled or self._deferred) and bool(self.pending))

    def pause_writing(self) -> None:
        self.stalled = True
        self._unsent = monotonic_ns(), -1

    def resume_writing(self) -> None:
        self.stalled = False
        if self.phase <= BODY:
            self._pump()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        before = self._mark_closed()
        self.stalled = False
        self.pending = bytearray()
        self.service.closed(self)
        if before in (BODY, BUSY):
            self._gone(before)

    def _mark_closed(self) -> int:
        before, self.phase = self.phase, CLOSED
        return before

    def resume_reading(self) -> None:
        if self._paused and self.phase != CLOSED:
            self._paused = False
            self.transport.resume_reading()

    def pause_reading(self) -> None:
        if not self._paused and self.phase != CLOSED:
            self._paused = True
            self.transport.pause_reading()

    # -- the end -----------------------------------------------------------------------------------------------------

    def refuse(self, code: int, why: str) -> None:
        """Answer with an error of ours and close; count it."""
        if self.phase >= LINGER:
            return
        if self.phase == BODY:
            self._gone(BODY)
        self.service.refused(self, code, why)
        body = response.simple(self.service.stamp, code, head_only=self.method == b"HEAD")
        self.sent += len(body)
        self.transport.write(body)
        self.linger(body=code == _TOO_LARGE)

    def linger(self, *, body: bool = False) -> None:
        """Close so that the client can still read the answer: a close with unread bytes would reset the connection."""
        self._left = _UNLIMITED if body or self.phase == BODY else LINGER_BYTES
        self.phase, self.since = LINGER, monotonic_ns()
        self._until = self.since + LINGER_LONGEST * _SECOND
        self.pending.clear()
        if self._eof:
            self.transport.close()
            return
        self.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def close(self) -> None:
        """Close in peace once everything is sent."""
        if (self.pending or self._paused) and not self._eof:
            self.linger()
        elif self.phase < LINGER:
            self.phase, self.since = LINGER, monotonic_ns()
            self.transport.close()

    def abort(self) -> None:
        """Close so that the client sees that the answer is not whole."""
        self.phase = LINGER if self.phase != CLOSED else CLOSED
        self.transport.abort()

    def _drop(self, data: bytes) -> None:
        self._left -= len(data)
        self.since = min(monotonic_ns(), self._until - LINGER_SECONDS * _SECOND)
        if self._left < 0 and self.phase == LINGER:
            self.transport.abort()

    # -- the clock ---------------------------------------------------------------------------------------------------

    def overdue(self, now: int) -> int:
        """Look at the clock; act if the client took too long. Returns the next deadline (monotonic ns), 0: none."""
        match self.phase:
            case 3:  # BUSY
                return self._reads_on(now)
            case 4:  # LINGER
                if self.stalled:
                    return self._reads_on(now)
                late, allowed = "", float(LINGER_SECONDS)
            case _:
                late, allowed = self._patience()
        if not allowed:
            return 0
        deadline = self.since + int(allowed * _SECOND)
        if now >= deadline:
            if late:
                self.refuse(408, late)
            elif self.phase == IDLE:
                self.close()
            else:
                self.transport.abort()
        return deadline

    def _patience(self) -> tuple[str, float]:
        """What a client that is too slow is told ("": it is only closed), and the seconds it has; 0: any number."""
        limits = self.service.limits
        match self.phase:
            case 0 if not self._deferred:  # IDLE: before its first request a client may take as long as for the head
                return "", limits.keep_alive if self.target or not limits.header_timeout else limits.header_timeout
            case 1:  # HEAD
                return "the head took too long", limits.header_timeout
            case 2 if limits.body_timeout and not self._paused:  # BODY
                return "the body took too long", limits.body_timeout + self.size / limits.body_rate
        return "", 0.0

    def _reads_on(self, now: int) -> int:
        """Whether a client that has not read all of its answer gets on with it at all."""
        if not self.stalled:
            return 0
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent[1]:
            self._unsent = now, unsent
        deadline = self._unsent[0] + READ_SECONDS * _SECOND
        if now >= deadline:
            self.abort()
        return deadline

    # -- for the log -------------------------------------------------------------------------------------------------

    def remote(self) -> str:
        """The client's address, as trusted proxies have it where they say so."""
        address = self.transport.get_extra_info("peername")
        return str(address[0]) if isinstance(address, tuple) else ""

    def __str__(self) -> str:
        return f"{self.request_line()} of {self.peer()}"

    def request_line(self) -> str:
        return f"{self.method.decode('latin-1')} {self.target[:200].decode('latin-1')!r}"

    def peer(self) -> str:
        """The client's address in words."""
        address = self.transport.get_extra_info("peername")
        if isinstance(address, tuple):
            return f"{address[0]}:{address[1]}"
        sock: socket.socket | None = self.transport.get_extra_info("socket")
        return "unix" if sock is not None and sock.family == socket.AF_UNIX else "a client"
