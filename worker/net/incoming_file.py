"""The file of an accepted socket that handlers read by: `socket.SocketIO`, with less Python for each read.

`StreamRequestHandler` and `http.server` have one for each connection; the standard one checks in methods of its own
what is hardly ever so, which is a fifth of what an echo of one line costs.
Can go wrong: what a `SocketIO` does; it says so in its words.
"""

import errno
import io
import socket
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]  # of 3.12, and typeshed's

_EMPTY: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK})


class Incoming(socket.SocketIO):
    """For reading, as `makefile` makes it."""

    _sock: Any  # Any: a socket; the base class's own, like what follows
    _timeout_occurred: bool

    def readinto(self, buffer: "Buffer", /) -> int | None:
        if self.closed or self._timeout_occurred:
            return super().readinto(buffer)
        try:
            read: int = self._sock.recv_into(buffer)
        except TimeoutError:
            self._timeout_occurred = True
            raise
        except OSError as error:
            if error.errno in _EMPTY:
                return None
            raise
        return read


def incoming_file(sock: socket.socket) -> io.BufferedReader:
    """What `sock.makefile("rb")` gives."""
    sock._io_refs += 1  # type: ignore[attr-defined]  # noqa: SLF001  # as makefile does: close() waits for its files
    return io.BufferedReader(Incoming(sock, "r"))
