"""Echo on an event loop: a protocol, and a coroutine with streams; many replies per connection, or one."""

import asyncio
from typing import cast


class Until(asyncio.Protocol):
    """Replies until the peer has had enough."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)  # uvloop's are none by their class

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Once(Until):
    """One reply, the end."""

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()


async def until(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1024):
        writer.write(data)
        await writer.drain()
    writer.close()


async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(1024))
    await writer.drain()
    writer.close()
