"""An answer in several pieces: a thread hands them over, the loop sends them, and the thread waits for room.

So much of each answer may wait for its client, and less once all answers together are more than this process may hold.
Can go wrong: the client does not read: the thread waits. It goes away: `BrokenPipeError` in the thread.
"""

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from forkful.worker.http.http1 import HttpConnection
    from forkful.worker.http.wsgi.caller import Caller

AHEAD = 1_048_576  # bytes of an answer that may wait for its client, outside of the thread
LEAST: Final = 65_536  # that may wait whatever others do, so that nobody waits for others alone


class Outbox:
    """Of one answer."""

    def __init__(
        self, connection: "HttpConnection", service: "Caller", wait: "Callable[[threading.Event], None]"
    ) -> None:
        self._connection = connection
        self._service = service
        self._wait = wait  # with the clock stopped
        self._room: threading.Event | None = None  # where the thread waits for the client
        self._ahead = AHEAD
        self._handed = self._written = self._sent = 0  # bytes: given to the loop, to the transport, to the kernel
        self.gone = False  # the client is: nothing more goes

    # -- in the thread -----------------------------------------------------------------------------------------------

    def send(self, data: bytes, *, last: bool = False) -> None:
        """Hand a piece to the loop. Waits while the client is slow to read those before, for the last if need be."""
        if self.gone:
            raise BrokenPipeError("the client is gone")
        if last:
            self._ahead = sys.maxsize  # it is made already
        self._handed += len(data)
        self._service.post(self._deliver, data)
        if self._full():
            self._wait_for_room()

    def _full(self) -> bool:
        waits = self._handed - self._sent
        return waits > self._ahead or (waits > LEAST and self._service.answers.spent)

    def _wait_for_room(self) -> None:
        if self._room is None:
            self._room = self._service.room()
        while self._full():
            self._room.clear()
            if self.gone:
                raise BrokenPipeError("the client is gone")
            if self._full():  # again: it may have changed before the clear
                self._wait(self._room)

    # -- in the loop -------------------------------------------------------------------------------------------------

    def _deliver(self, data: bytes) -> None:
        if not self.gone:
            self._connection.write(data)
            self._written += len(data)
            self.resume()

    def resume(self) -> None:
        """There may be room: the transport has nothing left to send, unless it says so."""
        if not self._connection.stalled:
            self._sent = self._written
        if self._room is not None and (self.gone or not self._full()):
            self._room.set()

    def disconnect(self) -> None:
        self.gone = True
        self.resume()
