"""A shared listening socket as a program with a loop of its own gets it: an ordinary one that cannot hurt the others.

`shutdown` on a listening socket ends it for every process that shares it (many servers do that in their `close`), so
here it does nothing; `close` closes this process's descriptor. The open file is always non-blocking, since that flag is
shared too; `accept` and `recvfrom` wait as the socket's own timeout says, and once the worker drains nothing comes: a
wait without a timeout ends with an error, one with a timeout as if nobody had come.
Can go wrong: a program that takes the bare descriptor (`fileno`, an event loop in C) is served, but not counted.
"""

import errno
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any

Taken = Callable[[socket.socket | None], object]  # None: a datagram
Ended = Callable[[socket.socket], object]


class Accepted(socket.socket):
    """A connection that tells its end: closed, or detached for somebody else's object."""

    __slots__ = ("ended",)
    ended: "Ended | None"

    def _real_close(self) -> None:  # what socket.close() calls once no file object uses the socket any more
        self._end()
        super()._real_close()  # type: ignore[misc]  # typeshed does not have it

    def detach(self) -> int:
        self._end()
        return super().detach()

    def _end(self) -> None:
        ended, self.ended = getattr(self, "ended", None), None
        if ended is not None:
            ended(self)


class SharedListener(socket.socket):
    """`used` is called whenever the program takes it into use, `taken` with each connection or datagram."""

    __slots__ = ("_bell", "_patience", "ended", "taken", "used")

    def __init__(self, fd: int, bell: int, used: Callable[[], object], taken: Taken, ended: Ended) -> None:
        super().__init__(fileno=fd)
        self._bell = bell  # readable once the worker drains
        self._patience: float | None = None
        self.used, self.taken, self.ended = used, taken, ended
        os.set_blocking(super().fileno(), False)

    def __repr__(self) -> str:  # the standard one asks for the descriptor, and a log line is no use
        return f"<shared listener fd={super().fileno()}>"

    def fileno(self) -> int:
        self.used()
        return super().fileno()

    def shutdown(self, how: int, /) -> None:
        """Nothing: the others go on with this socket."""

    def settimeout(self, value: float | None, /) -> None:
        self._patience = value

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001  # the standard library's signature
        self._patience = None if flag else 0.0

    def gettimeout(self) -> float | None:
        return self._patience

    def getblocking(self) -> bool:
        return self._patience is None

    def accept(self) -> tuple[socket.socket, Any]:  # Any: as of socket.accept
        """As `socket.accept`; blocked without a timeout, it ends with ECONNABORTED once the worker drains."""
        fd, peer = self._wait(self._accept)  # type: ignore[attr-defined]  # the C half, which typeshed does not have
        conn = Accepted(self.family, self.type, self.proto, fileno=fd)
        conn.ended = self.ended
        self.taken(conn)
        return conn, peer

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:  # Any: as of socket.recvfrom
        """As `socket.recvfrom`, with the same end to a wait."""
        plain = super().recvfrom
        found = self._wait(lambda: plain(bufsize, flags))
        self.taken(None)
        return found  # type: ignore[no-any-return]  # what it was given

    def _wait(self, take: Callable[[], Any]) -> Any:  # Any: what is taken
        self.used()
        deadline = None if self._patience is None else time.monotonic() + self._patience
        while True:
            if self._patience != 0:
                self._look_whether_it_is_over(deadline)
            try:
                return take()
            except BlockingIOError:
                if self._patience == 0:
                    raise
            self._sleep(deadline)

    def _look_whether_it_is_over(self, deadline: float | None) -> None:
        """Once the worker drains, those who wait are told that nobody came."""
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if not poll.poll(0):
            return
        if deadline is None:
            raise OSError(errno.ECONNABORTED, "this worker drains and accepts nothing more")
        time.sleep(max(0.0, deadline - time.monotonic()))
        raise TimeoutError("timed out")

    def _sleep(self, deadline: float | None) -> None:
        poll = select.poll()
        poll.register(super().fileno(), select.POLLIN)
        poll.register(self._bell, select.POLLIN)
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not poll.poll(None if left is None else left * 1000):
            raise TimeoutError("timed out")
