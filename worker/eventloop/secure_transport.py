"""A transport over TLS: between the transport of the loop, which carries what is encrypted, and a protocol.

asyncio and uvloop have one each, which let nobody see what waits unsent below them, drop an answer to a client that
has closed its side, and hold a quarter of a megabyte for each connection; HTTP could not tell a client that reads
slowly from one that is done. Here what waits is the wire's, exactly, and so are its limits; `close` says goodbye
(close_notify) behind all that was written, and waits for nobody's.
Can go wrong: what comes is not what was agreed on, or the end comes without a goodbye: the protocol is told the error,
or that it was the end.
"""

import asyncio
import contextlib
import errno
import ssl
from collections.abc import Iterable
from typing import Any, Final

from forkful.worker.net.accepted import Accepted

_PIECE: Final = 262_144  # bytes that are given to the protocol at a time, and that are taken off the wire


class SecureTransport(asyncio.Transport, asyncio.BufferedProtocol):
    """Above it a protocol, for which it is a transport; below it the wire, for which it is a protocol."""

    _room = memoryview(bytearray(_PIECE))  # what comes is taken in at once, so one is enough for a process

    def __init__(self, loop: asyncio.AbstractEventLoop, accepted: Accepted, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        assert accepted.engine is not None
        self._loop = loop
        self._tls = accepted.engine.tls
        self._incoming, self._outgoing = accepted.engine.incoming, accepted.engine.outgoing
        self._protocol: Any = protocol  # Any: of either kind
        self._wire: Any = None  # Any: a transport of either loop
        self._reading = True
        self._scheduled = False
        self._full = False  # the wire has more than it may
        self._held_up = False  # and the protocol knows
        self._over = False  # nothing more comes
        self._said_all = False  # nothing more goes
        self._closing = False
        self._error: OSError | None = None

    # -- the wire's side ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = transport
        self._protocol.connection_made(self)
        self._read_soon()  # something may have come together with the end of the handshake

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # as of asyncio
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self._incoming.write(self._room[:nbytes])
        self._read()

    def eof_received(self) -> bool:
        """An end without a goodbye is an end, as for `ssl.SSLSocket`."""
        self._incoming.write_eof()
        self._read()
        return not self._closing

    def pause_writing(self) -> None:
        self._full = True
        if not self._held_up and self._protocol is not None:
            self._held_up = True
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Not at once: asyncio's transport ends twice if it is closed within this call."""
        self._full = False
        self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        if self._held_up and not self._full and self._protocol is not None:
            self._held_up = False
            self._protocol.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._closing = self._over = True
        protocol, self._protocol = self._protocol, None  # each has the other: let go by counting
        protocol.connection_lost(error or self._error)

    def _read_soon(self) -> None:
        """Not from within a call of the protocol's."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._read_late)

    def _read_late(self) -> None:
        self._scheduled = False
        try:
            self._read()
        except Exception as error:  # noqa: BLE001  # the protocol's; from within the wire's call that would tell it
            self._loop.call_exception_handler({"message": "a protocol failed", "exception": error, "transport": self})
            self.abort()

    def _read(self) -> None:
        """Give the protocol what there is, piece by piece: it may have enough, or close, in between."""
        try:
            while self._reading and not self._over and not self._closing:
                if not self._read_piece():
                    self._end()
        except ssl.SSLWantReadError:
            self._flush()  # an answer to a change of keys
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._end()
        except ssl.SSLError as error:
            self._fail(error)

    def _read_piece(self) -> int:
        protocol = self._protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            room = memoryview(protocol.get_buffer(-1)).cast("B")
            if not len(room):
                raise RuntimeError("get_buffer() returned an empty buffer")
            taken = self._tls.read(len(room), room)
            if taken:
                protocol.buffer_updated(taken)  # type: ignore[arg-type]  # with a buffer it is a number
            return taken  # type: ignore[return-value]  # as above
        data = self._tls.read(_PIECE)
        if data:
            protocol.data_received(data)
        return len(data)

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        if not self._protocol.eof_received() and not self._closing:
            self.close()

    def _fail(self, error: ssl.SSLError) -> None:
        self._over = self._closing = True
        self._error = ConnectionAbortedError(errno.ECONNABORTED, str(error))
        self._flush()  # the alert
        self._wire.close()

    # -- the protocol's side -----------------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # Any: as of asyncio
        match name:
            case "ssl_object":
                return self._tls
            case "sslcontext":
                return self._tls.context
            case "peercert":
                return self._tls.getpeercert()
            case "cipher":
                return self._tls.cipher()
            case "compression":
                return self._tls.compression()
        return default if self._wire is None else self._wire.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol  # type: ignore[no-any-return]  # Any above

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False
        if not self._closing:
            self._wire.pause_reading()

    def resume_reading(self) -> None:
        self._reading = True
        if self._closing:
            return
        self._wire.resume_reading()
        self._read_soon()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._said_all:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing:
            return
        left = memoryview(data).cast("B") if len(data) else b""
        try:
            while left:
                left = left[self._tls.write(left[:_PIECE]) :]  # a record each
                if self._outgoing.pending >= _PIECE or not left:
                    self._flush()
        except ssl.SSLError as error:  # the client has gone without a goodbye, behind which OpenSSL writes no more
            self._fail(error)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._wire.write(self._outgoing.read())

    def get_write_buffer_size(self) -> int:
        return self._wire.get_write_buffer_size()  # type: ignore[no-any-return]  # Any above

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._wire.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._wire.get_write_buffer_limits()  # type: ignore[no-any-return]  # Any above

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Say that nothing more comes; the client may still have something to say."""
        if not self._closing and not self._said_all:
            self._said_all = True
            self._say_goodbye()
            with contextlib.suppress(OSError):  # of asyncio's: the client is gone, as will be told
                self._wire.write_eof()

    def _say_goodbye(self) -> None:
        with contextlib.suppress(ssl.SSLError):  # it would wait for the client's
            self._tls.unwrap()
        self._flush()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self._said_all:
                self._say_goodbye()
            self._wire.close()

    def abort(self) -> None:
        self._closing = True
        self._wire.abort()
