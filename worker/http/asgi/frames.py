"""The frames of one WebSocket (RFC 6455), by the `websockets` library's protocol without sockets.

It was wsproto, which unpacks a compressed message whole before anybody can count it, lets the application send close
codes that must not be sent, and takes four times as long for a small message or fragment.
What nearly all messages are, one frame without an extension that has come alone, is read and made here (`single`,
`frame_of`): the library's generators and objects would be a quarter of what an echo costs. It has all the others.
Can go wrong: the peer breaks the protocol: the frames end with `failed`, and what is to be told the peer is in `out`.
"""

import logging
from collections.abc import Iterator
from typing import Final

from websockets.extensions import Extension
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

try:
    from websockets.speedups import apply_mask
except ImportError:  # it is not compiled everywhere
    from websockets.utils import apply_mask

_TEXT, _BINARY, _CONT, _PONG, _CLOSE = Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.PONG, Opcode.CLOSE
_FIRST_OF_PONG: Final = 0x8A
_WHOLE_TEXT, _WHOLE_BINARY = 0x81, 0x82  # first bytes of messages of one frame
_MASKED: Final = 0x80
_SMALL, _MEDIUM, _TWO_BYTES, _EIGHT_BYTES = 126, 65_536, 126, 127  # lengths, and what stands for more bytes of length
_KEY: Final = 4
_HEADS: Final = {first: [bytes((first, size)) for size in range(_SMALL)] for first in (_WHOLE_TEXT, _WHOLE_BINARY)}
_NO_CODE, _INVALID, _INTERNAL, _LEAST, _MOST = 1005, 1007, 1011, 3000, 4999
_SENDABLE: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
_RELAYED: Final = frozenset({1006, 1015})  # what a proxy was told of another connection, and hands on
_REASON: Final = 123  # bytes of UTF-8, for the frame has 125
#: What is to be told, `WebSocket` tells; and the library's own logger is the application's to configure.
_SILENT: Final = logging.Logger("websockets", logging.CRITICAL + 1)  # noqa: LOG001  # see above

Said = str | bytes


def _let_go(error: BaseException) -> None:
    """Its traceback has what was unpacked of a message that is too big, for as long as the connection lasts."""
    seen: BaseException | None = error
    while seen is not None:
        seen.__traceback__ = None
        seen = seen.__cause__ or seen.__context__


def _size(length: int) -> int:
    """Bytes of a client's frame, by those of what is in it, if its length is written as it should be."""
    return length + (6 if length < _SMALL else 8 if length < _MEDIUM else 14)


class Frames:
    """One side of a WebSocket that is open: bytes in, messages out, and the other way round."""

    def __init__(self, max_size: int, extensions: list[Extension]) -> None:
        self._protocol = Protocol(Side.SERVER, state=OPEN, max_size=max_size or None, logger=_SILENT)
        self._protocol.extensions = extensions
        self._max_size = max_size
        self._has_extensions = bool(extensions)
        self._midway = 0  # bytes that the library has of a frame that is not whole
        self._within = False  # a message whose frames are still to come
        self._parts = bytearray()  # of that message
        self._is_text = False
        self.closed: tuple[int, str] | None = None  # how the peer ended it, or what it did wrong

    def single(self, data: bytes) -> Said | None:
        """The message, where `data` is one frame that is all of it; None: `feed` it."""
        if self._midway or self._within or self._has_extensions or len(data) < _KEY + 2:
            return None
        first, size = data[0], data[1] - _MASKED
        start = 2
        if size >= _TWO_BYTES:
            start = 4 if size == _TWO_BYTES else 10
            size = int.from_bytes(data[2:start], "big")
        body = start + _KEY
        if len(data) != body + size or 0 < self._max_size < size:
            return None
        if first == _WHOLE_BINARY:
            return apply_mask(data[body:], data[start:body])
        if first == _WHOLE_TEXT:
            try:
                return str(apply_mask(data[body:], data[start:body]), "utf-8")
            except UnicodeDecodeError:  # it has more to say to that
                return None
        return None

    def feed(self, data: bytes) -> Iterator[Said]:
        """Take in what came; the messages that are whole now. At its end see whether it is `closed`."""
        protocol = self._protocol
        self._midway += len(data)
        protocol.receive_data(data)
        for frame in protocol.events_received():
            assert isinstance(frame, Frame)  # the handshake is over
            self._midway -= _size(len(frame.data))
            opcode = frame.opcode
            if opcode is _TEXT or opcode is _BINARY or opcode is _CONT:
                message = self._whole(frame)
                if message is not None:
                    yield message
            elif opcode is _CLOSE and protocol.close_rcvd is not None:
                self.closed = protocol.close_rcvd.code, protocol.close_rcvd.reason
            if self.closed is not None:
                return
        if protocol.parser_exc is not None and protocol.close_sent is not None:
            self.closed = protocol.close_sent.code, protocol.close_sent.reason
            if self.broken is None:
                _let_go(protocol.parser_exc)

    def _whole(self, frame: Frame) -> Said | None:
        self._within = not frame.fin
        if frame.opcode is not _CONT:
            self._is_text = frame.opcode is _TEXT
            if frame.fin:
                return self._said(frame.data)
        self._parts += frame.data
        if not frame.fin:
            return None
        parts, self._parts = self._parts, bytearray()
        return self._said(parts)

    def _said(self, data: "bytes | bytearray | memoryview") -> Said | None:
        if not self._is_text:
            return bytes(data)
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError as error:
            self._protocol.fail(_INVALID, error.reason)
            self.closed = _INVALID, error.reason
            return None

    @property
    def held(self) -> int:
        """Bytes of messages and frames that are not whole."""
        return len(self._parts) + len(self._protocol.reader.buffer)

    @property
    def broken(self) -> BaseException | None:
        """What the library did not expect, if that ended it: a fault to be reported."""
        error = self._protocol.parser_exc
        sent = self._protocol.close_sent
        return error if sent is not None and sent.code == _INTERNAL else None

    def out(self, *, reads: bool = True) -> tuple[bytes, bytes]:
        """What is to be sent, and the last pong; without `reads` of the peer's, only that need be answered at last."""
        writes = [data for data in self._protocol.data_to_send() if data]
        pongs = [data for data in writes if data[0] == _FIRST_OF_PONG]
        if reads or not pongs:
            return b"".join(writes), b""
        return b"".join(data for data in writes if data[0] != _FIRST_OF_PONG), pongs[-1]

    def frame_of(self, said: Said) -> bytes:
        """A message as it is sent, where there is no extension; b"": it is a `message`."""
        if self._has_extensions:
            return b""
        first, data = (_WHOLE_TEXT, said.encode()) if isinstance(said, str) else (_WHOLE_BINARY, said)
        size = len(data)
        if size < _SMALL:
            return _HEADS[first][size] + data
        if size < _MEDIUM:
            return b"%c%c%b%b" % (first, _TWO_BYTES, size.to_bytes(2, "big"), data)
        return b"%c%c%b%b" % (first, _EIGHT_BYTES, size.to_bytes(8, "big"), data)

    def message(self, said: Said) -> None:
        if isinstance(said, str):
            self._protocol.send_text(said.encode())
        else:
            self._protocol.send_binary(said)

    def ping(self) -> None:
        self._protocol.send_ping(b"")

    def close(self, code: int, reason: str) -> None:
        """Say goodbye. 1005 means a frame without a code; 1006 and 1015 say what nobody may send (section 7.4.1)."""
        if code in _RELAYED:
            code = _INTERNAL
        if code == _NO_CODE:
            self._protocol.send_close()
        elif code in _SENDABLE or _LEAST <= code <= _MOST:
            self._protocol.send_close(code, reason.encode()[:_REASON].decode(errors="ignore"))
        else:
            raise ValueError(f"{code} is no code that a WebSocket can be closed with")

    def release(self) -> None:
        """Let go: the library's parser and its protocol hold each other."""
        self._protocol.parser.close()
