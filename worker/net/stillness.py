"""Stillness: whether a connection of TCP moves at all, as the kernel counts; asked from outside, now and then.

So nothing is in the way of a handler, whatever it reads and writes by, and none has to help.
Can go wrong: the kernel counts nothing for this kind of socket (Unix): such a connection never counts as still.
"""

import array
import fcntl
import socket
import struct
import termios
from dataclasses import dataclass
from typing import Any, Final, Self

from forkful.conf.plan import PoolPlan
from forkful.worker.net.counted_socket import TCP, TCP_INFO

_MOVED = struct.Struct("=120xQQ")  # struct tcp_info, linux/tcp.h: bytes_acked at 120, bytes_received at 128


class TooStillError(TimeoutError):
    """A handler waited for its client for as long as `read_timeout` says."""


PARTS: Final = 8  # looks within the time that a connection may be still


@dataclass(frozen=True, slots=True)
class StillLimits:
    """Seconds; 0: no limit."""

    idle: float = 0.0  # without a byte in either direction
    read: float = 0.0  # without a byte for a handler that waits for one

    @classmethod
    def of(cls, plan: PoolPlan) -> Self:
        return cls(plan.idle_timeout, plan.read_timeout)

    def __bool__(self) -> bool:
        return bool(self.idle or self.read)

    @property
    def every(self) -> float:
        """How often to look, in seconds."""
        return min(1.0, min(limit for limit in (self.idle, self.read) if limit) / PARTS)


NO_LIMITS: Final = StillLimits()


class Stillness:
    """That of one connection."""

    __slots__ = ("_moved", "_since", "_waiting")

    def __init__(self, now: float) -> None:
        self._moved = (-1, -1)  # bytes that the peer has, and that we have
        self._since = now  # when that was last seen to change
        self._waiting = 0.0  # since when its handler waits to read, without a byte; 0: it does not

    def exceeds(self, limits: StillLimits, sock: Any, now: float, *, waits: bool = False) -> str:
        """The name of the limit that it is beyond, or "". `waits`: its handler waits for the client.

        Any: a socket, or what uvloop has instead of one. Time in which the client has sent and nobody has read is none
        of the client's.
        """
        moved = _counts(sock)
        if moved is None:
            return ""
        if moved != self._moved or _unread(sock):
            self._moved, self._since, self._waiting = moved, now, 0.0
        if not waits:
            self._waiting = 0.0
        elif not self._waiting:
            self._waiting = now
        if limits.idle and now - self._since >= limits.idle:
            return "idle_timeout"
        if limits.read and self._waiting and now - self._waiting >= limits.read:
            return "read_timeout"
        return ""


def _counts(sock: Any) -> tuple[int, int] | None:  # Any: as above
    try:
        acked, received = _MOVED.unpack(sock.getsockopt(TCP, TCP_INFO, _MOVED.size))
    except (OSError, AttributeError, struct.error):  # closed, or not TCP, or an old kernel
        return None
    return acked, received


def _unread(sock: Any) -> bool:  # Any: as above
    """Whether bytes of the client wait for the handler."""
    count = array.array("i", (0,))
    try:
        fcntl.ioctl(sock.fileno(), termios.FIONREAD, count)
    except (OSError, ValueError):
        return False
    return count[0] > 0


def end(sock: Any) -> bool:  # Any: as above
    """End a connection under its handler's hands: what that reads or writes next says so. Whether it was open."""
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not that of an SSLSocket, which another thread uses
    except (OSError, TypeError):
        return False
    return True
