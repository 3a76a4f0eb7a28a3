"""The page, and the way of browsers into the arena: a WebSocket is a UDP socket, a message is a datagram.

So the arena knows one kind of player. When this worker leaves, its WebSockets end with 1012 (service restart), and the
page is back at once, in the same room by its token. ARENA_UDP says where the arena is (127.0.0.1:9999).
Can go wrong: a browser is slow: of what waits for it the oldest is dropped, as each snapshot is newer than the last.
"""

import asyncio
import os
from pathlib import Path

from forkful.handlers.asgi import Receive, Scope, Send

_PAGE = Path(__file__).with_name("page.html").read_bytes()


class Relay(asyncio.DatagramProtocol):
    """A browser's UDP socket. To a room of another worker it goes by another port, as long as it takes."""

    def __init__(self) -> None:
        host, _, port = os.environ.get("ARENA_UDP", "127.0.0.1:9999").rpartition(":")
        self._arena = (host.strip("[]"), int(port))
        self._joins = b""
        self._socket: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        self.close()
        self.inbox = asyncio.Queue[bytes](8)  # what another port was told is of no use: a second E would join twice
        make = asyncio.get_running_loop().create_datagram_endpoint
        self._socket, _ = await make(lambda: self, remote_addr=self._arena)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def say(self, data: bytes) -> None:
        if data[:1] == b"J":
            self._joins = data
        if self._socket is not None:
            self._socket.sendto(data)

    def datagram_received(self, data: bytes, _: object) -> None:
        if self.inbox.full():
            self.inbox.get_nowait()
        self.inbox.put_nowait(data)

    async def serve(self, send: Send) -> None:
        """Tell the browser what the arena says."""
        while True:
            data = await self.inbox.get()
            if data == b"E":
                await asyncio.sleep(0.01)
                await self.open()
                self.say(self._joins)
            else:
                await send({"type": "websocket.send", "bytes": data})


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
    elif scope["type"] == "websocket":
        await _play(receive, send)
    else:
        there = scope["path"] == "/"
        head = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200 if there else 404, "headers": head})
        await send({"type": "http.response.body", "body": _PAGE if there else b""})


async def _play(receive: Receive, send: Send) -> None:
    relay = Relay()
    await receive()
    await send({"type": "websocket.accept"})
    await relay.open()
    telling = asyncio.create_task(relay.serve(send))
    try:
        while (message := await receive())["type"] == "websocket.receive":
            relay.say(message.get("bytes") or b"")
    finally:
        telling.cancel()
        relay.close()
