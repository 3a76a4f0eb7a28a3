"""Sends a file to a client by sendfile(2), at the client's pace, without a thread and without reading it.

It writes past the transport, on a descriptor of its own for the same socket, so that the event loop can watch for the
client's readiness; the transport must have nothing left to send. It closes the file's descriptor in the end.
Can go wrong: the client goes away (`cancel`), or the file is shorter than it was: told to whoever asked.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

_AT_ONCE: Final = 1 << 20  # bytes per call, and per turn of the loop


class FileSender:
    """One file on its way; `sent` bytes of it are. `done(error)` is called once, unless it is cancelled."""

    def __init__(  # noqa: PLR0913, PLR0917  # one file, one client
        self,
        loop: asyncio.AbstractEventLoop,
        sock: int,
        fd: int,
        offset: int,
        length: int,
        done: Callable[[BaseException | None], None],
    ) -> None:
        self.sent = 0
        self._loop = loop
        self._sock = os.dup(sock)
        self._fd = fd
        self._offset, self._left = offset, length
        self._done = done
        self._watching = False

    def start(self) -> None:
        if not self._watching and self._sock >= 0:
            self._watching = True
            self._loop.add_writer(self._sock, self._more)

    def cancel(self) -> None:
        if self._sock < 0:
            return
        if self._watching:
            self._loop.remove_writer(self._sock)
        os.close(self._sock)
        os.close(self._fd)
        self._sock = -1

    def _more(self) -> None:
        error: BaseException | None = None
        try:
            sent = os.sendfile(self._sock, self._fd, self._offset, min(self._left, _AT_ONCE))
        except BlockingIOError:
            return
        except OSError as failed:
            error, sent = failed, 0
        else:
            if not sent:
                error = EOFError("the file became shorter while it was sent")
        self._offset += sent
        self._left -= sent
        self.sent += sent
        if error is not None or not self._left:
            self.cancel()
            self._done(error)
