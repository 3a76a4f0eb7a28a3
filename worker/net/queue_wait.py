"""How long a connection or a datagram waited in the kernel before somebody here took it, measured of one in `EVERY`.

Streams over TCP: the time since the kernel last received something on the connection, or since its handshake
(`tcpi_last_data_recv`, tcp(7)). The kernel counts it in ticks of 1 to 10 ms, and a client that goes on sending while
it waits makes the wait look shorter. Datagrams over IP: the time since the kernel stamped the last one that this
socket gave out (SIOCGSTAMPNS, socket(7)); where several processes share the socket that may be a neighbour's, which
waited as long. Unix sockets do not tell.
Can go wrong: the kernel does not tell: then there is nothing to count.
"""

import fcntl
import socket
import struct
import time
from bisect import bisect_left
from typing import Any, Final

from forkful.worker.ipc.scoreboard import QUEUE_BOUNDS_NS, QUEUE_BUCKETS, QUEUE_WAITED
from forkful.worker.net.counted_socket import TCP, TCP_INFO

EVERY: Final = 64  # a power of two
MASK: Final = EVERY - 1  # the first one is measured, and then each that has as much behind it

_LAST_DATA = struct.Struct("=52xI")  # struct tcp_info, linux/tcp.h: milliseconds at 52
_STAMP = struct.Struct("@ll")  # struct timespec
_SIOCGSTAMPNS: Final = 0x8907  # asm-generic/sockios.h
_NS, _MS_IN_NS = 1_000_000_000, 1_000_000


def note_stream(row: "memoryview[int]", sock: Any) -> None:  # Any: a socket, or what uvloop has instead of one
    """Count the wait of a connection that was just taken."""
    try:
        info = sock.getsockopt(TCP, TCP_INFO, _LAST_DATA.size)
    except (OSError, AttributeError):  # not TCP, or gone already
        return
    if len(info) == _LAST_DATA.size:
        note(row, _LAST_DATA.unpack(info)[0] * _MS_IN_NS)


def note_datagram(row: "memoryview[int]", sock: socket.socket) -> None:
    """Count the wait of a datagram that was just taken. The first call asks the kernel to stamp what comes from now."""
    try:
        seconds, rest = _STAMP.unpack(fcntl.ioctl(sock.fileno(), _SIOCGSTAMPNS, bytes(_STAMP.size)))
    except (OSError, ValueError):
        return
    note(row, max(0, time.time_ns() - seconds * _NS - rest))


def note(row: "memoryview[int]", waited: int) -> None:
    """Count a wait of so many nanoseconds."""
    row[QUEUE_WAITED] += waited
    row[QUEUE_BUCKETS + bisect_left(QUEUE_BOUNDS_NS, waited)] += 1
