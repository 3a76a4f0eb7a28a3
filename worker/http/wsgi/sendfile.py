"""Sends a file to a client by sendfile(2), at the client's pace, without a thread and without reading it.

It writes past the transport, on a descriptor of its own for the same socket, so that the event loop can watch for the
client's readiness; the transport must have nothing left to send.
Can go wrong: the client goes away (`cancel`), or the file is shorter than it was: told to whoever asked.
"""

import asyncio
import io
import os
import stat
from collections.abc import Callable
from typing import Final

_AT_ONCE: Final = 1 << 20  # bytes per call, and per turn of the loop


def sendable(filelike: object) -> tuple[int, int, int] | None:
    """(descriptor, offset, length) of what is left of a real file; None where only reading says what is in it.

    A descriptor alone does not: a `GzipFile` has that of what is packed, and a wrapper may read less than the file. So
    its `read` has to be a file's own, be it handed on, as temporary files and Django's do. Nor does a length of 0,
    which files of /proc have.
    """
    read = getattr(filelike, "read", None)
    file = getattr(getattr(read, "__wrapped__", read), "__self__", None)
    raw = file.raw if type(file) in (io.BufferedReader, io.BufferedRandom) else file  # type: ignore[union-attr]  # so
    if type(raw) is not io.FileIO:
        return None
    try:
        fd, offset = raw.fileno(), file.tell()  # type: ignore[union-attr]  # it is a file
        status = os.fstat(fd)
    except (OSError, ValueError):
        return None
    length = status.st_size - offset
    return (fd, offset, length) if stat.S_ISREG(status.st_mode) and length > 0 else None


class FileSender:
    """One file on its way. `done(sent, error)` is called once, unless it is cancelled."""

    def __init__(  # noqa: PLR0913, PLR0917  # one file, one client
        self,
        loop: asyncio.AbstractEventLoop,
        sock: int,
        fd: int,
        offset: int,
        length: int,
        done: Callable[[int, BaseException | None], None],
    ) -> None:
        self._loop = loop
        self._sock = os.dup(sock)
        self._fd = fd
        self._offset, self._left = offset, length
        self._sent = 0
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
        self._sent += sent
        if error is not None or not self._left:
            self.cancel()
            self._done(self._sent, error)
