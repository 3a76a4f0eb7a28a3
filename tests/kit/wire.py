"""A wire that is long and loses packets: a TUN device whose packets come back with their addresses changed about.

    python -m tests.kit.wire FD DELAY LOSS

What is sent to `FAR` comes to `NEAR`, and the answer comes from `FAR`: so a server and its clients may be in one
namespace. Each packet is late by `DELAY` seconds, or lost with the chance of `LOSS`, both ways, whatever protocol it is
of. Changing the addresses about changes no checksum. It is for kernels without netem, and ends with its device.
Can go wrong: there is no /dev/net/tun, or no right to it: `OSError`.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

NEAR, FAR = "10.9.0.1", "10.9.0.2"
_TUNSETIFF, _TUN, _NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
_IPV4 = 4


@contextmanager
def wire(delay: float, loss: float) -> Iterator[str]:
    """Lay it, in the network namespace that we are in, and give the address of its far end."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH", b"wire", _TUN | _NO_PI))
        for done in ("addr add 10.9.0.1/24 dev wire", "link set wire up", "link set lo up"):
            subprocess.run(["ip", *done.split()], check=True)
        command = [sys.executable, "-m", __name__, str(fd), str(delay), str(loss)]
        with subprocess.Popen(command, pass_fds=[fd]) as carrying:
            try:
                yield FAR
            finally:
                carrying.terminate()
    finally:
        os.close(fd)


def carry(fd: int, delay: float, loss: float) -> None:
    """Take packets and give them back, until we are ended."""
    dice, under_way, number = random.Random(15), list[tuple[float, int, bytes]](), 0
    while True:
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            os.write(fd, heapq.heappop(under_way)[2])
        select.select([fd], [], [], under_way[0][0] - now if under_way and under_way[0][0] > now else None)
        while (packet := _read(fd)) is not None:
            if packet[0] >> 4 == _IPV4 and dice.random() >= loss:
                back = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
                heapq.heappush(under_way, (time.monotonic() + delay, number := number + 1, back))


def _read(fd: int) -> bytes | None:
    try:
        return os.read(fd, 65_536)
    except BlockingIOError:
        return None


if __name__ == "__main__":
    carry(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
