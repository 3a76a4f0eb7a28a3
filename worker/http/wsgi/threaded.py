"""A WSGI application in a bounded pool of threads: threads call the application, the loop reads and writes.

Answers go back to the loop in one batch per turn, so that threads under one interpreter lock change places once for
many requests instead of once for each write. A thread that produces a long answer waits for a client that is slow to
read it; once the last piece is handed over, the thread is free and the loop has the client.
Can go wrong: all threads are stuck in the application: nothing more is accepted, and the oldest call is on the
scoreboard, each thread having a row of its own.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from forkful.worker.http.wire import BODY, BUSY, CLOSED
from forkful.worker.http.wsgi.connection import Caller, WsgiConnection
from forkful.worker.http.wsgi.environ import Openings
from forkful.worker.http.wsgi.sendfile import FileSender
from forkful.worker.ipc.scoreboard import RESET, STARTED

logger = logging.getLogger("forkful.http")

AHEAD: Final = 65_536  # bytes of an answer that a thread may be ahead of the loop


class Pooled(Caller, Protocol):
    """A service with a pool of threads. `waiting` are the connections for whose client a thread waits."""

    waiting: "set[ThreadedConnection]"

    def put(self, connection: "ThreadedConnection", /) -> None: ...

    def post(self, call: Callable[[Any], None], argument: Any, /) -> None: ...  # Any: what the call takes


class ThreadedConnection(WsgiConnection):
    """While a thread serves it (`phase` is BUSY), the loop only collects what comes and tells of the client's end."""

    __slots__ = ("_handed", "_lock", "_room", "_written")

    service: Pooled
    _lock: "threading.Lock | None"

    def __init__(self, service: Pooled, openings: Openings) -> None:
        super().__init__(service, openings)
        self._room: threading.Event | None = None
        self._handed = self._written = 0  # bytes of an answer: given to the loop, and taken by the transport

    def _run(self) -> None:
        self.phase = BUSY
        self.service.put(self)

    # -- in the thread -----------------------------------------------------------------------------------------------

    def serve(self, row: "memoryview[int]", lock: "threading.Lock | None") -> None:
        """Call the application and answer."""
        self._lock = lock
        if self.phase == CLOSED:  # the client left while this waited for a thread
            self._close_body()
            return
        if lock is None:
            row[STARTED] += 1
        else:
            with lock:
                row[STARTED] += 1
        self._call(row)

    def _count(self, outcome: int) -> None:
        if self._lock is None:
            WsgiConnection._count(self, outcome)  # noqa: SLF001  # quicker than super()
        else:
            with self._lock:
                WsgiConnection._count(self, outcome)  # noqa: SLF001

    def _send(self, data: bytes) -> None:
        """A piece. Waits while the client is slow to read those before."""
        if self.phase == CLOSED:
            raise BrokenPipeError("the client is gone")
        self._handed += len(data)
        self.service.post(self._deliver, data)
        if self._handed - self._written > AHEAD or self.stalled:
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        room = self._room
        if room is None:
            room = self._room = threading.Event()
        while self._handed - self._written > AHEAD or self.stalled:
            room.clear()
            if self.phase == CLOSED:
                raise BrokenPipeError("the client is gone")
            if self._handed - self._written > AHEAD or self.stalled:  # again: it may have changed before the clear
                self.service.waiting.add(self)
                room.wait()
                self.service.waiting.discard(self)

    def _send_whole(self, data: bytes) -> None:
        if self._body is not None:
            self._close_body()
        self._count(0)
        self.service.post(self._deliver_last, data)

    def _drive(self) -> None:
        assert self._iterator is not None
        try:
            for piece in self._iterator:
                if piece:
                    self._piece(piece)
            self._last()
        except BaseException as error:  # noqa: BLE001  # an application may raise anything
            self._fail(error)
            return
        self._finish()

    def _start_sender(self, fd: int, offset: int, length: int) -> None:
        """The loop sends the file; the call itself is over."""
        self._count(0)
        self.service.post(self._send_in_loop, (fd, offset, length))

    def _send_error(self, answer: bytes) -> None:
        self.service.post(self._deliver, answer)

    def _cut(self) -> None:
        self.service.post(self._cut_in_loop, None)

    def _finish(self, outcome: int = 0) -> None:
        self._settle(outcome or (RESET if self.phase == CLOSED else 0))
        self.service.post(self._deliver_last, b"")

    # -- in the loop -------------------------------------------------------------------------------------------------

    def _deliver(self, data: bytes) -> None:
        if self.phase == CLOSED:
            return
        self.sent += len(data)
        self.transport.write(data)
        self._written += len(data)
        self._make_room()

    def _deliver_last(self, data: bytes) -> None:
        if data and self.phase != CLOSED:
            self.sent += len(data)
            self.transport.write(data)
        self.answered()

    def _cut_in_loop(self, _: None) -> None:
        super()._cut()

    def _make_room(self) -> None:
        if self._room is not None and (not self.stalled or self.phase == CLOSED):
            self._room.set()

    def resume_writing(self) -> None:
        self.stalled = False
        self._make_room()
        if self._sender is not None:
            self._sender.start()
        elif self.phase <= BODY:
            self._pump()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._make_room()

    def _send_in_loop(self, span: tuple[int, int, int]) -> None:
        if self.phase == CLOSED:
            self._settle(0)
            return
        sock = self.transport.get_extra_info("socket").fileno()
        self._sender = FileSender(self.service.loop, sock, *span, self._sent_file)
        if not self.stalled:
            self._sender.start()

    def _sent_file(self, sent: int, error: BaseException | None) -> None:
        self._sender = None
        self.sent += sent
        self._settle(0)
        if error is not None or self._produced < self._declared:
            self.keep = False
            self.abort()
        self.answered()

    def _gone(self, before: int) -> None:
        if self._sender is not None:
            self._sender.cancel()
            self._sender = None
            self._settle(0)
        elif before == BODY:
            self._close_body()
