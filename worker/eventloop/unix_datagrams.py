"""A datagram transport over a Unix socket, for any event loop: uvloop's own mangles abstract addresses (unix(7)).

Can go wrong: a reply meets nobody (`error_received`), or a peer whose queue is full: what waits is bounded, and what
is beyond is dropped, as datagrams may be.
"""

import asyncio
import socket
from collections import deque
from typing import Any, Final

_LARGEST: Final = 65_536
_AT_ONCE: Final = 16  # datagrams per turn of the loop
_WAITING: Final = 1024  # replies that may wait for their peers


class UnixDatagramTransport(asyncio.DatagramTransport):
    """Reads and writes one socket, which it closes in the end."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, protocol: asyncio.DatagramProtocol
    ) -> None:
        super().__init__({"socket": sock, "sockname": sock.getsockname()})
        self._loop = loop
        self._sock = sock
        self._protocol = protocol
        self._out: deque[tuple[bytes, Any]] = deque()  # Any: an address, or None
        self._closing = False
        sock.setblocking(False)
        loop.call_soon(protocol.connection_made, self)
        loop.call_soon(self._start)

    def _start(self) -> None:
        if not self._closing:
            self._loop.add_reader(self._sock.fileno(), self._read)

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            if self._closing:
                return
            try:
                data, address = self._sock.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                self._protocol.error_received(error)
                return
            self._protocol.datagram_received(data, address)

    def sendto(self, data: Any, addr: Any = None) -> None:  # Any: as of asyncio
        if self._out:
            if len(self._out) < _WAITING:
                self._out.append((bytes(data), addr))
            return
        if not self._send(data, addr):
            self._out.append((bytes(data), addr))
            self._loop.add_writer(self._sock.fileno(), self._flush)

    def _send(self, data: Any, addr: Any) -> bool:  # Any: as above
        try:
            if addr:
                self._sock.sendto(data, addr)
            else:
                self._sock.send(data)
        except BlockingIOError:
            return False
        except OSError as error:
            self._protocol.error_received(error)
        return True

    def _flush(self) -> None:
        while self._out:
            if not self._send(*self._out[0]):
                return
            self._out.popleft()
        self._loop.remove_writer(self._sock.fileno())
        if self._closing:
            self._end()

    def get_write_buffer_size(self) -> int:
        return sum(len(data) for data, _ in self._out)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._sock.fileno())
        if not self._out:
            self._loop.call_soon(self._end)

    def abort(self) -> None:
        if self._out:
            self._out.clear()
            self._loop.remove_writer(self._sock.fileno())
        self.close()

    def _end(self) -> None:
        if self._sock.fileno() >= 0:
            self._protocol.connection_lost(None)
            self._sock.close()
