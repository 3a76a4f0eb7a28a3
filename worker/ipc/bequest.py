"""A bequest: what a worker leaves to the one after it in its slot, as memory that nobody can change any more.

It goes by its descriptor, memfd_create(2), so the master, which passes it on and may keep it meanwhile, never reads it.
Can go wrong: what a worker calls a bequest is something else, or too much: `is_sound` says no.
"""

import fcntl
import os
from dataclasses import dataclass
from typing import Final

from forkful.handlers import BEQUEST_MAX

_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(frozen=True, slots=True)
class Bequest:
    """As the master holds it: the memory, and the token of the worker that left it."""

    fd: int
    token: int

    def fileno(self) -> int:
        return self.fd

    def close(self) -> None:
        os.close(self.fd)


def seal(data: bytes | bytearray | memoryview) -> int:
    """Memory with this in it, for good; its descriptor is the caller's. Raises OSError."""
    fd = os.memfd_create("forkful bequest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[os.write(fd, rest) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read(fd: int) -> bytes:
    """What is in it; the descriptor is closed. Raises OSError."""
    try:
        return os.pread(fd, BEQUEST_MAX, 0)
    finally:
        os.close(fd)


def is_sound(fd: int) -> bool:
    """Whether it is such memory, and not too much. Nothing that this asks of the kernel can wait for anybody."""
    try:
        return fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS == _SEALS and os.fstat(fd).st_size <= BEQUEST_MAX
    except OSError:
        return False
