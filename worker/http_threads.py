"""A WSGI application in a bounded pool of threads: the loop reads requests, a thread calls the application and answers.

A thread writes its answer to the socket itself, so the usual one costs no second switch between threads. What does
not fit at once is left to the loop where it is the end of the answer, so that a slow client holds no thread; in the
middle of a long answer the thread waits for the client.
Can go wrong: all threads are stuck in the application: nothing more is accepted (`saturated`), and the oldest call is
on the scoreboard, each thread having a row of its own.
"""

import asyncio
import os
import select
import threading
from queue import SimpleQueue
from time import monotonic_ns
from typing import TYPE_CHECKING, Protocol

from forkful.handlers.wsgi import Environ
from forkful.worker import http_response as response
from forkful.worker.http_sendfile import FileSender
from forkful.worker.http_wire import BODY, BUSY, CLOSED, IDLE, READ_SECONDS
from forkful.worker.http_wsgi import JOINED, Caller, WsgiConnection
from forkful.worker.scoreboard import RESET, SINCE, STARTED

if TYPE_CHECKING:
    from collections.abc import Sequence


class Threads:
    """The pool. One row of the scoreboard per thread; `lock` guards the first, which the loop also writes to."""

    def __init__(self, rows: "Sequence[memoryview[int]]") -> None:
        self.lock = threading.Lock()
        self._queue: SimpleQueue[ThreadedConnection | None] = SimpleQueue()
        self.put = self._queue.put
        self._size = len(rows)
        self._rows = rows

    def start(self) -> None:
        for number, row in enumerate(self._rows):
            lock = self.lock if number == 0 else None
            threading.Thread(target=self._work, args=(row, lock), name=f"wsgi-{number}", daemon=True).start()

    @property
    def saturated(self) -> bool:
        """As many requests wait as there are threads: what else comes had better wait in the kernel, for others."""
        return self._queue.qsize() >= self._size

    @property
    def busy(self) -> int:
        """Threads that are in the application."""
        return sum(1 for row in self._rows if row[SINCE]) + self._queue.qsize()

    def stop(self) -> None:
        for _ in self._rows:
            self.put(None)

    def _work(self, row: "memoryview[int]", lock: "threading.Lock | None") -> None:
        get = self._queue.get
        while (connection := get()) is not None:
            connection.serve(row, lock)
            del connection


class ThreadedConnection(WsgiConnection):
    """While a thread serves it (`phase` is BUSY), the loop only collects what comes and tells of the client's end."""

    __slots__ = ("_fd", "_guard", "_lock", "_waits")

    service: "Pooled"
    _lock: "threading.Lock | None"

    def __init__(self, service: "Pooled", base: Environ) -> None:
        super().__init__(service, base)
        self._guard = threading.Lock()  # held around each use of the descriptor, so that it is not closed meanwhile
        self._fd = -1
        self._waits = False  # the next request is here, but the rest of the last answer is not sent yet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._fd = transport.get_extra_info("socket").fileno()
        super().connection_made(transport)

    def _run(self) -> None:
        with self._guard:
            self.phase = BUSY
            self._waits = self.stalled
        if not self._waits:
            self.service.put(self)

    # -- in the thread -----------------------------------------------------------------------------------------------

    def serve(self, row: "memoryview[int]", lock: "threading.Lock | None") -> None:
        """Call the application and answer."""
        service = self.service
        self._row, self._lock = row, lock
        row[SINCE] = began = self._began = monotonic_ns()
        self._add(row, STARTED)
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
        except BaseException as error:  # noqa: BLE001  # an application may raise anything; the thread goes on
            self._fail(error)

    def _add(self, row: "memoryview[int]", cell: int) -> None:
        if self._lock is None:
            row[cell] += 1
        else:
            with self._lock:
                row[cell] += 1

    def _whole(self, body: bytes) -> None:
        """The answer in one piece: settle everything first, since with its last byte the next request may come."""
        if type(body) is not bytes:
            raise response.BadResponse(f"a piece of the body must be bytes, not {type(body).__name__}")
        lines = self._build(len(body) if body or not self._head_only else -1)
        if self._declared != len(body):
            body = body[: self._declared]
        self._produced = len(body)
        self._check_complete()
        if len(body) <= JOINED:
            lines.append(body)
            self._send_last(b"".join(lines))
        else:
            self._send(b"".join(lines))
            self._send_last(body)

    def _send_last(self, data: bytes) -> None:
        self.sent += len(data)
        self._settle(0)
        loop, keep = self.service.loop, self.keep
        with self._guard:
            if self.phase == CLOSED:
                return
            if keep:
                self.since = monotonic_ns()
                self.phase = IDLE  # before the write: the answer to it may be here before write(2) returns
            rest = self._try_write(data)
            if rest:
                self.stalled = True
                self.phase = BUSY
                loop.call_soon_threadsafe(self._leave_to_loop, rest)
                return
        if not keep:
            loop.call_soon_threadsafe(self.answered)
        elif self.pending or self._paused or self._eof:
            loop.call_soon_threadsafe(self._look_again)

    def _try_write(self, data: "bytes | memoryview") -> "memoryview | None":
        """Write what the socket takes now; return the rest. The guard is held."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except BlockingIOError:
            return view
        except OSError:
            return None  # the loop learns of it as well, and closes
        return None

    def _send(self, data: bytes) -> None:
        """A piece in the middle: wait for a client that is slow to read."""
        self.sent += len(data)
        rest: memoryview | None = memoryview(data)
        while rest:
            with self._guard:
                if self.phase == CLOSED:
                    raise BrokenPipeError("the client is gone")
                rest = self._try_write(rest)
            if rest:
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                if not poll.poll(READ_SECONDS * 1000):
                    raise TimeoutError(f"the client read nothing for {READ_SECONDS} s")

    def _drive(self) -> None:
        assert self._iterator is not None
        for piece in self._iterator:
            if piece:
                self._piece(piece)
        self._last()
        self._finish()

    def _start_sender(self, fd: int, offset: int, length: int) -> None:
        """The loop sends the file; the call itself is over."""
        self._count(0)
        self.service.loop.call_soon_threadsafe(self._start_sender_in_loop, fd, offset, length)

    def _send_error(self, answer: bytes) -> None:
        self.sent += len(answer)
        with self._guard:
            if self.phase != CLOSED:
                self._try_write(answer)

    def _cut(self) -> None:
        self.service.loop.call_soon_threadsafe(super()._cut)

    def _finish(self, outcome: int = 0) -> None:
        self._settle(outcome or (RESET if self.phase == CLOSED else 0))
        self.service.loop.call_soon_threadsafe(self.answered)

    def _count(self, outcome: int) -> None:
        if self._lock is None:
            super()._count(outcome)
        else:
            with self._lock:
                super()._count(outcome)

    # -- in the loop -------------------------------------------------------------------------------------------------

    def _leave_to_loop(self, rest: memoryview) -> None:
        """The end of an answer that the socket did not take at once."""
        if self.phase == CLOSED:
            return
        self.stalled = False
        self.transport.write(rest)  # sets `stalled` again if the client still does not read
        if not self._waits:
            self.answered()
        elif not self.stalled:
            self._run()

    def resume_writing(self) -> None:
        self.stalled = False
        if self._waits:
            self._run()
        elif self.phase <= BODY:
            self._pump()

    def _look_again(self) -> None:
        if self.phase == IDLE:
            self._pump()

    def _start_sender_in_loop(self, fd: int, offset: int, length: int) -> None:
        if self.phase == CLOSED:
            self._settle(0)
            return
        self._sender = FileSender(self.service.loop, self._fd, fd, offset, length, self._sent_file)
        self._sender.start()

    def _sent_file(self, sent: int, error: BaseException | None) -> None:
        self._sender = None
        self.sent += sent
        self.keep = self.keep and error is None and self._produced >= self._declared
        self._settle(0)
        if error is not None or self._produced < self._declared:
            self.abort()
        self.answered()

    def _mark_closed(self) -> int:
        with self._guard:  # from here on no thread writes to the descriptor
            return super()._mark_closed()

    def _gone(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
            self._sender = None
            self._settle(0)
        elif self.phase == BODY and self._body is not None:
            self._body.close()


class Pooled(Caller, Protocol):
    """A service with a pool of threads."""

    def put(self, connection: ThreadedConnection, /) -> None: ...
