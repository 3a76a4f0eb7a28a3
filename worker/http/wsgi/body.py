"""The body of a request while it comes in, and as `wsgi.input` once it is whole: small in memory, large in a file.

Can go wrong: the disk under TMPDIR is full: the request is answered with 500 and logged, like any failure of ours.
"""

import io
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

IN_MEMORY: Final = 512 * 1024  # beyond this a body goes to a temporary file


class Nothing:
    """The input of a request without a body. It has no state, so one serves for all."""

    def read(self, size: int = -1, /) -> bytes:  # noqa: ARG002
        return b""

    readline = read

    def readlines(self, hint: int = -1, /) -> list[bytes]:  # noqa: ARG002
        return []

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """There is nothing to close."""


NOTHING: Final = Nothing()


class Body:
    """Grows by `write`; `file` is what the application reads, from the beginning, after `rewind`."""

    __slots__ = ("_spooled", "file", "size")

    def __init__(self, first: bytes = b"") -> None:
        self.file: BinaryIO = io.BytesIO(first)
        self.file.seek(len(first))
        self.size = len(first)
        self._spooled = False

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > IN_MEMORY and not self._spooled:
            memory = cast("io.BytesIO", self.file)
            self.file = cast("BinaryIO", tempfile.TemporaryFile(prefix="forkful-body-", buffering=65_536))  # noqa: SIM115  # closed with the request
            self.file.write(memory.getbuffer())
            self._spooled = True
        self.file.write(data)

    def rewind(self) -> BinaryIO:
        self.file.seek(0)
        return self.file

    def close(self) -> None:
        self.file.close()
