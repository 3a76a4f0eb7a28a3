"""A socket that tells when it is closed, for connections of an event loop, which closes them by itself.

asyncio closes the socket object of a connection. uvloop closes the descriptor, and then detaches the object from it.
Can go wrong: nothing; it tells once, whoever closes it.
"""

import socket
from collections.abc import Callable

from forkful.worker.net.accepted import Accepted


class ToldSocket(socket.socket):
    """`left` is called when it is closed, or let go of."""

    __slots__ = ("left",)
    left: Callable[[], object] | None

    def detach(self) -> int:
        fd = super().detach()
        self._tell()
        return fd

    def _real_close(self) -> None:  # what socket.close() calls once no file object uses the socket any more
        super()._real_close()  # type: ignore[misc]  # typeshed does not have it
        self._tell()

    def _tell(self) -> None:
        left, self.left = self.left, None
        if left is not None:
            left()


def tell_when_closed(accepted: Accepted) -> None:
    """Have `accepted.left` called when the socket of this connection is closed."""
    sock = accepted.sock  # a plain one: on a loop no step puts another in its place
    told = ToldSocket(sock.family, sock.type, sock.proto, sock.detach())
    told.left = accepted.left
    told.setblocking(False)
    accepted.sock = told
