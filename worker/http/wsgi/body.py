"""The body of a request on its way to `wsgi.input`: the loop puts it in, the application's thread takes it out.

A small body is whole before the application is asked, so that a slow client holds no thread. So is one whose length is
not known, in a temporary file if need be, for many frameworks want to know it. The application is asked for a larger
one at once, and its thread waits for each piece, with the clock stopped; what waits for it is bounded, and all that
waits in this process has a budget.
Can go wrong: the disk under TMPDIR is full: 500, logged. The client leaves or is cut off: reading raises
`ConnectionResetError`, so that half a body never looks whole.
"""

import io
import os
import tempfile
from collections import deque
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from forkful.conf import scratch

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from _typeshed import ReadableBuffer, WriteableBuffer

    from forkful.worker.http.http1 import HttpConnection
    from forkful.worker.http.wsgi.caller import Caller

WHOLE: Final = 1_048_576  # bytes of a body that is taken before the application is asked, if its length is known
IN_MEMORY: Final = 512 * 1024  # beyond this a body of unknown length goes to a temporary file
AHEAD: Final = 262_144  # bytes of a larger one that may wait for the application before we stop reading
BLOCK: Final = 65_536  # bytes that the application's reads are made of


def _file() -> BinaryIO:
    """A file without a name; in memory where no directory can be written."""
    where = scratch.directory()
    if where is None:
        return os.fdopen(os.memfd_create("forkful-body", os.MFD_CLOEXEC), "w+b", BLOCK)
    return cast("BinaryIO", tempfile.TemporaryFile(prefix="forkful-body-", dir=where, buffering=BLOCK))


class Nothing(io.BufferedIOBase):
    """The input of a request without a body. It has no state, so one serves for all."""

    def read(self, size: int | None = -1, /) -> bytes:  # noqa: ARG002
        return b""

    def read1(self, size: int = -1, /) -> bytes:  # noqa: ARG002
        return b""

    def readinto(self, buffer: "WriteableBuffer", /) -> int:  # noqa: ARG002
        return 0

    readinto1 = readinto

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """There is nothing to close."""


NOTHING: Final = Nothing()


def _nothing(*_: object) -> None: ...


class Body(io.RawIOBase):
    """Grows by `feed` and ends by `end` or `disconnect`, in the loop; read in a thread.

    `wait` waits for an event, with the clock stopped.
    """

    def __init__(
        self, connection: "HttpConnection", service: "Caller", wait: "Callable[[threading.Event], None]"
    ) -> None:
        super().__init__()
        self.size = 0  # bytes that came
        self.ended = self.gone = False
        self._connection: HttpConnection | None = connection
        self._service = service
        self._budget = service.budget
        self._wait = wait
        self._uninvited = False  # the client waits for a word of ours
        self._event: threading.Event | None = None
        self._first: BinaryIO | None = io.BytesIO()  # what came before the application was asked
        self._spooled = False
        self._pieces: deque[bytes] = deque()  # what came since
        self._asked = False
        self._held = 0

    # -- in the loop -------------------------------------------------------------------------------------------------

    def feed(self, piece: bytes) -> None:
        """Take a piece. Raises OSError where it cannot be kept."""
        self.size += len(piece)
        self._held += len(piece)
        self._budget.hold(len(piece))
        if self._asked:
            self._pieces.append(piece)
            if self._held > AHEAD:
                self._pause()
            self._wake()
            return
        assert self._first is not None
        if self.size > IN_MEMORY and not self._spooled:
            memory = cast("io.BytesIO", self._first)
            self._first = _file()
            self._first.write(memory.getbuffer())
            self._spooled = True
        self._first.write(piece)

    def end(self) -> None:
        self.ended = True
        self._wake()

    def disconnect(self) -> None:
        if not self.ended:
            self.gone = True
            self._wake()

    def hold(self) -> None:
        """The client asks whether it may send (RFC 9110 section 10.1.1): not before the application reads."""
        self._uninvited = True
        self._pause()  # its time begins when it is told to go on

    def _pause(self) -> None:
        if self._connection is not None:
            self._connection.full = True
            self._connection.pause_reading()

    def _taken(self, size: int) -> None:
        """The application has taken so many bytes, or waits for the first."""
        self._held -= size
        self._budget.hold(-size)
        connection = self._connection
        if connection is None or self.gone:
            return
        if self._uninvited:
            self._uninvited = False
            connection.invite()
        if connection.full and self._held <= AHEAD:
            connection.full = False
            connection.resume_reading()

    def ask(self) -> "BinaryIO":
        """The application is asked: what it reads."""
        self._asked = True
        assert self._first is not None
        self._first.seek(0)
        if self.ended:
            return self._first
        return cast("BinaryIO", io.BufferedReader(self, BLOCK))

    def release(self) -> None:
        """The request is over: nothing more is asked of the loop, and nothing of ours refers to it any more."""
        self._connection = None
        self.gone = self.gone or not self.ended
        self._taken(self._held)
        self._pieces.clear()
        self._wait = _nothing

    def _wake(self) -> None:
        if self._event is not None:
            self._event.set()

    # -- in the thread -----------------------------------------------------------------------------------------------

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        if self._first is not None:
            data = self._first.read(len(view))
            if data:
                return self._give(view, data)
            self._first.close()
            self._first = None
        while not self._pieces:
            if self.ended:
                return 0
            if self.gone:
                raise ConnectionResetError("the client left before its body was whole")
            self._wait_for_client()
        piece = self._pieces.popleft()
        if len(piece) > len(view):
            self._pieces.appendleft(piece[len(view) :])
            piece = piece[: len(view)]
        return self._give(view, piece)

    def _give(self, view: memoryview, data: "ReadableBuffer") -> int:
        size = memoryview(data).nbytes
        view[:size] = data
        self._service.post(self._taken, size)
        return size

    def _wait_for_client(self) -> None:
        if self._event is None:
            self._event = self._service.room()
        self._event.clear()
        self._service.post(self._taken, 0)  # the client may wait for a word of ours
        if not (self._pieces or self.ended or self.gone):  # again: it may have come before the clear
            self._wait(self._event)

    def close(self) -> None:
        if self._first is not None:
            self._first.close()
        super().close()
