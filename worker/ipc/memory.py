"""Shared memory of ours as a process holds it: mapped anew for less than it was, or let go of.

Can go wrong: the kernel does not map it anew: `OSError`.
"""

import contextlib
import ctypes
import mmap
import os
from collections.abc import Collection

WRITABLE = mmap.PROT_READ | mmap.PROT_WRITE
_MAP_FIXED = 0x10  # mman-linux.h: in place of what is there


def let_go(fd: int, memory: mmap.mmap) -> None:
    """In a process that a handler forks: what it writes there goes nowhere."""
    map_anew(memory, WRITABLE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, slice(0, len(memory)))
    close_all_but(fd, ())


def close_all_but(fd: int, kept: Collection[int]) -> None:
    """Close every descriptor of this memory: the mapping has one of its own, out of reach."""
    ours = os.fstat(fd).st_ino
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names
        with contextlib.suppress(OSError):
            if int(name) not in kept and os.fstat(int(name)).st_ino == ours:
                os.close(int(name))


def map_anew(memory: mmap.mmap, protection: int, flags: int, fd: int, part: slice) -> None:
    """Put another mapping in the place of a part of this one; raise `OSError`."""
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + part.start
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    flags |= _MAP_FIXED
    if libc.mmap(start, part.stop - part.start, protection, flags, fd, part.start if fd >= 0 else 0) != start:
        raise OSError(ctypes.get_errno(), "shared memory cannot be mapped anew")
