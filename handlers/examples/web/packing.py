"""Files that are compressed when somebody asks: once for each version of a file, and the last used are kept.

Can go wrong: the file cannot be read: `OSError`.
"""

import asyncio
import gzip
import os
from collections import OrderedDict

Version = tuple[int, int, int, int]  # device, inode, time of change in ns, size


class Packer:
    """`room`: bytes that are kept in this worker."""

    def __init__(self, room: int = 32 << 20) -> None:
        self._room = room
        self._kept: OrderedDict[Version, bytes] = OrderedDict()
        self._one = asyncio.Lock()  # at a time, so that many who ask for the same wait for the first

    async def gzip(self, fd: int, status: os.stat_result) -> bytes:
        """The file's content by gzip; b"" if it does not get smaller."""
        version = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
        if version not in self._kept:
            async with self._one:
                if version not in self._kept:
                    packed = await asyncio.to_thread(_packed, os.dup(fd), status.st_size)
                    self._kept[version] = packed
                    self._room -= len(packed)
                    while self._room < 0:
                        self._room += len(self._kept.popitem(last=False)[1])
        return self._kept.get(version, b"")


def _packed(fd: int, size: int) -> bytes:
    """Of a descriptor of its own: whoever asked may be gone, and its number another file's."""
    with os.fdopen(fd, "rb") as file:
        plain = os.pread(file.fileno(), size, 0)
    packed = gzip.compress(plain, 6, mtime=0)
    return packed if len(packed) < len(plain) == size else b""
