"""The way out of an HTTP connection: what is sent, what of it the client has taken, and what waits for it here.

What waits in the transport counts among what waits in all of the process. Files go past the transport.
Can go wrong: nothing here; a client that takes nothing is found by its clock (`clock`).
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import sys
import termios
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

from forkful.worker.http.compiler import mypyc_attr
from forkful.worker.http.file_sender import FileSender

if TYPE_CHECKING:
    from collections.abc import Callable

    from forkful.worker.http.wire import Exchange, Keeper
    from forkful.worker.net.accepted import Accepted


_AT_ONCE: Final = struct.pack("ii", 1, 0)  # SO_LINGER: socket(7)


@mypyc_attr(allow_interpreted_subclasses=True)  # WebSockets
class Outgoing(asyncio.Protocol):
    """One client's. `stalled`: it does not read, our answers wait in the transport."""

    __slots__ = (  # in lines
        "_held", "_local", "_secured", "accepted", "exchange", "file", "host", "mark", "port", "sent", "service",
        "stalled", "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, service: "Keeper", accepted: "Accepted | None") -> None:
        self.service = service
        self.accepted = accepted
        self.host = self.port = ""  # the client's, "" where it is a Unix socket's
        self.exchange: Exchange | None = None
        self._local: Any = None  # Any: an address, of many shapes; asked for where the listener's says too little
        self._secured: dict[str, Any] | None = None  # Any: as the application is told of TLS
        self.sent = 0  # bytes
        self.stalled = False
        self.mark = (0, 0)  # when the client was last seen to take something, and how much it had then (monotonic ns)
        self.file: FileSender | None = None  # what goes past the transport
        self._held = 0  # bytes that are counted among those that wait in the process

    def write(self, data: bytes) -> None:
        self.sent += len(data)
        self.transport.write(data)
        if self.stalled:
            self.hold()

    def send_file(self, fd: int, offset: int, length: int) -> None:
        """Send a part of a file past the transport. It closes the descriptor, and tells the exchange."""
        sock = self.transport.get_extra_info("socket").fileno()
        self.file = FileSender(self.service.loop, sock, fd, offset, length, self._file_sent)
        self.mark = monotonic_ns(), self.taken()
        if not self.stalled:
            self.file.start()

    def _file_sent(self, error: BaseException | None) -> None:
        file, self.file = self.file, None
        assert file is not None
        self.sent += file.sent
        if self.exchange is not None:
            self.exchange.file_sent(error)

    def pause_writing(self) -> None:
        self.stalled = True
        self.mark = monotonic_ns(), self.taken()

    def resume_writing(self) -> None:
        self.stalled = False
        self.hold()
        if self.file is not None:
            self.file.start()
        if self.exchange is not None:
            self.exchange.resume()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self.stalled = False
        self.hold()
        if self.file is not None:
            self.file.cancel()
            self.file = None

    def abort(self) -> None:
        """Close so that the client sees that the answer is not whole."""
        self.transport.abort()

    def reset(self) -> None:
        """The same, and the kernel forgets what it could not deliver: it would go on trying for minutes."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as own:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()

    def hold(self) -> None:
        """Count what waits here among what waits in all of the process."""
        held = self.transport.get_write_buffer_size() if self.stalled else 0
        if held != self._held:
            self.service.answers.hold(held - self._held)
            self._held = held

    def taken(self) -> int:
        """Bytes of ours that have reached the client's machine.

        What the kernel holds is not among them. It takes more of us only once a third of its buffer is free: of a
        client that reads 10 KB a second we would see nothing for minutes.
        """
        sent = self.sent + (self.file.sent if self.file is not None else 0)
        unsent = self.transport.get_write_buffer_size()
        sock = self.transport.get_extra_info("socket")
        if sock is None:
            return sent - unsent
        try:
            queued = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:
            return sent  # it is gone
        return sent - unsent - int.from_bytes(queued, sys.byteorder)

    def local(self) -> tuple[str, int] | None:
        """Name and port that the client connected to; None: it is a Unix socket."""
        if self._local is None:
            accepted = self.accepted
            self._local = self.transport.get_extra_info("sockname") if accepted is None else accepted.local
        return (str(self._local[0]), int(self._local[1])) if isinstance(self._local, tuple) else None

    def secured(self, tell: "Callable[[Any], dict[str, Any]]") -> dict[str, Any]:  # Any: as above
        """What an application is told of the connection's TLS, made once by `tell`."""
        if self._secured is None:
            self._secured = tell(self.accepted.tls) if self.accepted is not None else {}
        return self._secured

    @property
    def may_write_raw(self) -> bool:
        """Whether bytes may go past the transport, straight to the descriptor."""
        return self.accepted is None or self.accepted.may_write_raw

    def peer(self) -> str:
        """The client's address in words."""
        if self.host:
            return f"{self.host}:{self.port}"
        sock: socket.socket | None = self.transport.get_extra_info("socket")
        return "unix" if sock is not None and sock.family == socket.AF_UNIX else "a client"
