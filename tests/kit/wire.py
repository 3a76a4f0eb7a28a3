"""A wire that is long and loses packets, in the network namespace that we are in: by netem, or by a TUN device.

    python -m tests.kit.wire FD DELAY LOSS

Each packet to `NEAR` or from it is late by `DELAY` seconds, or lost with the chance of `LOSS`, whatever protocol it is
of. Where the kernel has no netem, it is what comes to a TUN device for `FAR` that is late or lost, and comes back with
its addresses changed about: then it is for `NEAR`, and its answer is for `FAR`. That changes no checksum.
Can go wrong: there is no /dev/net/tun either, or no right to it: `OSError`.
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
def wire(delay: float, loss: float) -> Iterator[tuple[str, str]]:
    """Lay it, and give the address of its far end, and what it is made of."""
    _run("ip link set lo up")
    how = f"netem delay {1000 * delay:g}ms loss {100 * loss:g}%"
    if _run(f"tc qdisc replace dev lo root {how}", may_fail=True):
        _run(f"ip addr replace {NEAR}/32 dev lo")
        yield NEAR, how
        return
    with _tun() as fd:
        command = [sys.executable, "-m", __name__, str(fd), str(delay), str(loss)]
        with subprocess.Popen(command, pass_fds=[fd]) as carrying:
            try:
                yield FAR, "a TUN device, for this kernel has no netem"
            finally:
                carrying.terminate()


@contextmanager
def _tun() -> Iterator[int]:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH", b"wire", _TUN | _NO_PI))
        _run(f"ip addr add {NEAR}/24 dev wire")
        _run("ip link set wire up")
        yield fd
    finally:
        os.close(fd)


def _run(command: str, *, may_fail: bool = False) -> bool:
    return subprocess.run(command.split(), check=not may_fail, stderr=subprocess.DEVNULL).returncode == 0


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
