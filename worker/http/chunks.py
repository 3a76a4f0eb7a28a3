"""The chunked coding of a request's body (RFC 9112 section 7.1), decoded piece by piece.

It is ours and not llhttp's because llhttp does not say where a message ended when another follows in the same piece,
and a pipelined request must wait in its raw form, not as a thousand parsed ones.
Can go wrong: anything but CRLF, hexadecimal sizes and well-formed trailers: `Refused`.
"""

import re
from typing import Final

from forkful.worker.http.fields import Refused

LINE: Final = 4096  # of a size with its extensions
TRAILERS: Final = 16_384  # of all trailers together; they are checked and dropped
IDLE: Final = 65_536  # of extensions between two bytes of content

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSION = rb"(?:[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*"
_SIZE = re.compile(rb"(0*[0-9A-Fa-f]{1,15})" + _EXTENSION)
_TRAILER = re.compile(_TOKEN + rb":[\t -~\x80-\xff]*")


class Chunks:
    """One body on its way in. `done` once the last chunk and the trailers were seen."""

    __slots__ = ("_buffer", "_extra", "_left", "_trailing", "done")

    def __init__(self) -> None:
        self.done = False
        self._buffer = b""  # an unfinished line
        self._left = 0  # of the chunk's content; -1: its CRLF is due
        self._extra = 0  # bytes of framing since the last content
        self._trailing = -1  # bytes of trailers seen, once there

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Take what has come; return the content in it and, when `done`, what lies behind the message."""
        content: list[bytes] = []
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        at = 0
        while not self.done:
            if self._left > 0:
                piece = data[at : at + self._left]
                if not piece:
                    return content, b""
                content.append(piece)
                at += len(piece)
                self._extra = 0
                self._left = self._left - len(piece) or -1
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self._keep(data[at:])
                return content, b""
            self._line(data[at : end + 1])
            at = end + 1
        return content, data[at:]

    def _keep(self, rest: bytes) -> None:
        if len(rest) > LINE or (self._left < 0 and rest not in (b"", b"\r")):
            raise Refused(400, "no end of line where a chunk's framing should be")
        self._buffer = rest

    def _line(self, line: bytes) -> None:
        if len(line) > LINE or line[-2:] != b"\r\n":
            raise Refused(400, "a chunk's line that is too long or has no CRLF")
        if self._left < 0:
            if line != b"\r\n":
                raise Refused(400, "a chunk longer than its size")
            self._left = 0
        elif self._trailing >= 0:
            self._trailer(line)
        else:
            self._size(line)

    def _size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line, 0, len(line) - 2)
        if match is None:
            raise Refused(400, "not a chunk's size")
        self._extra += len(line)
        if self._extra > IDLE:
            raise Refused(400, "extensions without content")
        self._left = int(match[1], 16)
        if not self._left:
            self._trailing = 0

    def _trailer(self, line: bytes) -> None:
        self._trailing += len(line)
        if line == b"\r\n":
            self.done = True
        elif self._trailing > TRAILERS or not _TRAILER.fullmatch(line, 0, len(line) - 2):
            raise Refused(400, "not a trailer field, or too many")
