"""A WSGI application behind one connection (PEP 3333), called in the loop's own thread.

The usual answer, a list with one piece, leaves in one write with its head. Anything else is iterated as fast as the
client reads: while it does not, the iterator waits and the loop serves others.
Can go wrong: the application raises: 500 if nothing was sent yet, otherwise the connection is cut, so that half an
answer never looks whole. The client goes away: the iterable is closed and the request counted as reset.
"""

import asyncio
import os
import select
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from time import monotonic_ns
from typing import Any, Final, Protocol

from forkful.handlers.wsgi import Application, FileWrapper
from forkful.worker.eventloop.accounting import Accounting
from forkful.worker.http import response
from forkful.worker.http.access_log import LEFT, Access
from forkful.worker.http.wire import BUSY, CLOSED, READ_SECONDS
from forkful.worker.http.wsgi.environ import Openings, TrustingKeeper, WsgiRequest
from forkful.worker.http.wsgi.sendfile import FileSender, sendable
from forkful.worker.ipc.scoreboard import BOUNDS_NS, BUCKETS, ERROR, RESET, SINCE, STARTED
from forkful.worker.ipc.scoreboard import BUSY as BUSY_NS

JOINED: Final = 65_536  # a body up to this is copied behind its head, so that both leave in one write
SLICE: Final = 20_000_000  # ns that one iterator may have before others get a turn


class Caller(TrustingKeeper, Protocol):
    """A service with a WSGI application."""

    app: Application
    loop: asyncio.AbstractEventLoop
    accounting: Accounting
    row: "memoryview[int]"
    access: Access | None


class WsgiConnection(WsgiRequest):
    """One client of a WSGI application."""

    __slots__ = (
        "_began", "_chunked", "_declared", "_direct", "_fields", "_head_sent", "_iterator", "_produced", "_result",
        "_row", "_sender", "_status",
    )  # fmt: skip

    service: Caller

    def __init__(self, service: Caller, openings: Openings) -> None:
        super().__init__(service, openings)
        self._row = service.row
        self._began = 0
        self._status: str | None = None
        self._fields: list[tuple[str, str]] = []
        self._head_sent = self._chunked = self._direct = False
        self._declared = -1  # length of the body as its head promised, -1: unknown
        self._produced = 0  # bytes of the body so far
        self._result: Iterable[bytes] | None = None
        self._iterator: Iterator[bytes] | None = None
        self._sender: FileSender | None = None

    # -- the call ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Call the application; it has the loop's thread until it returns."""
        self.phase = BUSY
        row = self.service.row
        row[STARTED] += 1
        self._call(row)

    def _call(self, row: "memoryview[int]") -> None:
        service = self.service
        self._row = row
        row[SINCE] = began = self._began = monotonic_ns()
        if began >= service.stamp.until:
            service.stamp.renew(began)
        self._status, self._head_sent, self._produced = None, False, 0
        try:
            result = service.app(self.environ, self.start_response)
            if type(result) is list and len(result) == 1 and not self._head_sent and self._status is not None:
                self._whole(result[0])
            else:
                self._result = result
                if not self._send_file():
                    self._iterator = iter(result)
                    self._drive()
        except BaseException as error:  # noqa: BLE001  # an application may raise anything; the worker is unharmed
            self._fail(error)

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: Any = None,
        /,  # as PEP 3333 has it
    ) -> Callable[[bytes], None]:
        if exc_info:
            try:
                if self._head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # no cycle through the frame
        elif self._status is not None:
            raise AssertionError("start_response was called twice without exc_info (PEP 3333)")
        self._status, self._fields = status, headers
        return self.write

    def _whole(self, body: bytes) -> None:
        """The answer in one piece."""
        if type(body) is not bytes and not isinstance(body, bytes):
            raise response.BadResponse(f"a piece of the body must be bytes, not {type(body).__name__}")
        length = len(body)
        lines = self._build(length if length or not self._head_only else -1)
        if self._declared != length:
            body = body[: self._declared]
            if len(body) < self._declared:
                self._head_sent = False  # nothing was: a 500 can still be said
                raise response.BadResponse(f"Content-Length is {self._declared}, but the body has {length} bytes")
        self._produced = len(body)
        if length <= JOINED:
            lines.append(body)
            self._send_whole(b"".join(lines))
        else:
            self._send(b"".join(lines))
            self._send_whole(body)

    def _send_whole(self, data: bytes) -> None:
        self.sent += len(data)
        self.transport.write(data)
        if self._body is not None:
            self._close_body()
        self._count(0)
        self.answered()

    def _build(self, known: int) -> list[bytes]:
        """The head's lines. From here on there is no way back to a 500."""
        service = self.service
        if self._status is None:
            raise AssertionError("the application did not call start_response before its first piece (PEP 3333)")
        lines, self._declared, self._chunked, self.keep = response.build(
            service.stamp,
            self._status,
            self._fields,
            known,
            head_only=self._head_only,
            http11=self.http11,
            keep=self.keep and not service.closing,
        )
        self._head_sent = True
        return lines

    def _piece(self, data: bytes) -> None:
        """One piece of a body that comes in several."""
        if type(data) is not bytes and not isinstance(data, bytes):
            raise response.BadResponse(f"a piece of the body must be bytes, not {type(data).__name__}")
        lines = [] if self._head_sent else self._build(self._length_if_alone(data))
        if self._declared >= 0:
            data = data[: self._declared - self._produced]
        if data:
            self._produced += len(data)
            lines += [b"%x\r\n" % len(data), data, b"\r\n"] if self._chunked else [data]
        if lines:
            self._send(b"".join(lines))

    def _length_if_alone(self, data: bytes) -> int:
        """PEP 3333: an iterable of length one gives the length of the body."""
        try:
            alone = len(self._result) == 1  # type: ignore[arg-type]  # most have no length
        except (TypeError, AttributeError):
            return -1
        return len(data) if alone else -1

    def _last(self) -> None:
        """The iterable is exhausted."""
        if not self._head_sent:
            self._send(b"".join(self._build(-1 if self._head_only else 0)))
        elif self._chunked:
            self._send(b"0\r\n\r\n")
        self._check_complete()

    def _check_complete(self) -> None:
        if self._produced < self._declared:
            raise response.BadResponse(f"Content-Length is {self._declared}, but the body has {self._produced} bytes")

    def _drive(self) -> None:
        """Take pieces from the iterator and send them, as long as the client reads and our turn is not over."""
        row = self._row
        row[SINCE] = began = monotonic_ns()
        assert self._iterator is not None
        try:
            for piece in self._iterator:
                if piece:
                    self._piece(piece)
                if self.stalled or self.phase == CLOSED:
                    row[SINCE] = 0
                    return  # `resume_writing` or `connection_lost` goes on from here
                if monotonic_ns() - began > SLICE:
                    row[SINCE] = 0
                    self.service.loop.call_soon(self._drive_on)
                    return
            self._last()
        except BaseException as error:  # noqa: BLE001  # an application may raise anything
            self._fail(error)
            return
        self._finish()

    def _drive_on(self) -> None:
        if self._iterator is not None and not self.stalled:
            self._drive()

    def resume_writing(self) -> None:
        if self._iterator is not None or self._sender is not None:
            self.stalled = False
            if self._sender is not None:
                self._sender.start()
            else:
                self._drive()
        else:
            super().resume_writing()

    def _send_file(self) -> bool:
        """Answer with `sendfile` if the application gave a file wrapper around a real file."""
        if not isinstance(self._result, FileWrapper) or self._head_sent:
            return False
        span = sendable(self._result.filelike)
        if span is None:
            return False
        fd, offset, length = span
        lines = self._build(length if length or not self._head_only else -1)
        self._send(b"".join(lines))
        length = min(length, self._declared)
        self._produced = length
        if not length:
            self._check_complete()
            self._finish()
            return True
        self._start_sender(fd, offset, length)
        return True

    def _start_sender(self, fd: int, offset: int, length: int) -> None:
        sock = self.transport.get_extra_info("socket").fileno()
        self._sender = FileSender(self.service.loop, sock, fd, offset, length, self._sent_file)
        self._row[SINCE] = 0
        if not self.stalled:
            self._sender.start()

    def _sent_file(self, sent: int, error: BaseException | None) -> None:
        self._sender = None
        self.sent += sent
        if error is not None:
            self._fail(error)
            return
        try:
            self._check_complete()
        except response.BadResponse as short:
            self._fail(short)
            return
        self._finish()

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        self.sent += len(data)
        if self._direct:
            self.send_now(data)
        else:
            self.transport.write(data)

    def write(self, data: bytes) -> None:
        """PEP 3333's `write`: returns when the kernel has taken the data."""
        self._direct = True
        try:
            self._piece(data)
        finally:
            self._direct = False

    def send_now(self, data: bytes) -> None:
        """Send past the transport, which has nothing of ours to send, and wait for a client that is slow to read."""
        fd = self.transport.get_extra_info("socket").fileno()
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(fd, select.POLLOUT)
                if not poll.poll(READ_SECONDS * 1000):
                    raise TimeoutError(f"the client read nothing for {READ_SECONDS} s") from None

    def answer_field(self, name: str) -> str:
        return ", ".join(str(value) for key, value in self._fields if key.lower() == name.lower())

    # -- the end -----------------------------------------------------------------------------------------------------

    def _fail(self, error: BaseException) -> None:
        """The application failed, or the client did."""
        if self.phase == CLOSED or isinstance(error, BrokenPipeError | ConnectionResetError | TimeoutError):
            outcome = RESET
        else:
            outcome = ERROR
            self.service.failed(self, error, "error in")
        self.keep = False
        if not self._head_sent and self.phase != CLOSED:
            self._status, self._head_sent = "500 Internal Server Error", True
            self._send_error(response.simple(self.service.stamp, 500, head_only=self._head_only))
        else:
            self._cut()
        self._finish(outcome)

    def _send_error(self, answer: bytes) -> None:
        self.sent += len(answer)
        self.transport.write(answer)

    def _cut(self) -> None:
        """Half an answer was sent: the client must see that it is not whole."""
        if self.phase != CLOSED:
            self.abort()

    def _gone(self, before: int) -> None:  # noqa: ARG002
        """The client is gone: close what the application gave, and count it."""
        if self._sender is not None:
            self._sender.cancel()
            self._sender = None
            self._finish(RESET)
        elif self._result is not None:
            self._finish(RESET)
        elif not self._began:
            self._close_body()

    def _finish(self, outcome: int = 0) -> None:
        """The request is over; go on with the connection."""
        self._settle(outcome)
        self.answered()

    def _settle(self, outcome: int) -> None:
        """Close what the application gave, whatever became of it, and count the request."""
        result, self._result, self._iterator = self._result, None, None
        if result is not None and hasattr(result, "close"):
            try:
                result.close()
            except BaseException as error:  # noqa: BLE001  # an application may raise anything
                outcome = outcome or ERROR
                self.service.failed(self, error, "error in close() after")
        self._close_body()
        if self._began:
            self._count(outcome)

    def _count(self, outcome: int) -> None:
        service, row = self.service, self._row
        took = monotonic_ns() - self._began
        self._began = 0
        row[SINCE] = 0
        row[BUSY_NS] += took
        if outcome:
            row[outcome] += 1
        row[BUCKETS + bisect_left(BOUNDS_NS, took)] += 1
        service.accounting.count()
        if service.access is not None:
            status = int(self._status[:3]) if self._status else LEFT if outcome == RESET else 500
            service.access.request(self, status, self._produced, took)
