"""Handlers for an event loop: coroutines, protocols of each kind, with and without slots."""

import asyncio
import os

from stages import tell  # type: ignore[import-not-found]  # beside this file, as an operator has it


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Echoes until the client ends; "wait" waits at the gate, "fail" raises."""
    while data := await reader.read(65_536):
        if data == b"fail":
            raise ValueError("the handler's own mistake")
        if data == b"wait":
            tell(f"started {os.getpid()}")
            await asyncio.to_thread(_gate)
        if data == b"forever":
            tell(f"started {os.getpid()}")
            await asyncio.Event().wait()
        writer.write(data)
        await writer.drain()


def _gate() -> None:
    with open(os.environ["GATE"], "rb", buffering=0) as gate:  # noqa: PTH123
        gate.read(1)


class Echo(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        if data == b"fail":
            raise ValueError("the handler's own mistake")
        self.transport.write(data)


class Slotted(asyncio.Protocol):
    __slots__ = ("transport",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]  # as above


class SlottedBuffered(asyncio.BufferedProtocol):
    __slots__ = ("buffer", "transport")

    def __init__(self) -> None:
        self.buffer = bytearray(65_536)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.transport.write(bytes(self.buffer[:nbytes]))  # type: ignore[attr-defined]  # as above


class Buffered(SlottedBuffered):
    """The same with a dictionary of its own."""


class HandsOver(Echo):
    """Gives its connection to another protocol: "slots" to one that has them, "now" has been given away at once."""

    def data_received(self, data: bytes) -> None:
        other = Slotted() if data == b"slots" else Echo()
        other.transport = self.transport
        self.transport.set_protocol(other)
        self.transport.write(data)


class HandsOverAtOnce(Echo):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        other = Echo()
        other.connection_made(transport)
        transport.set_protocol(other)


class Stillborn(Echo):
    """Fails when it is connected, except for every other."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Stillborn.made += 1
        if Stillborn.made % 2:
            raise ValueError("the handler's own mistake")
        super().connection_made(transport)


async def exits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Has a task that wants to end the process; then echoes."""

    async def leave() -> None:
        raise SystemExit(5)

    task = asyncio.create_task(leave())
    await asyncio.wait([task])
    await echo(reader, writer)


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data == b"fail":
            raise ValueError("the handler's own mistake")
        self.transport.sendto(data, addr)


class Named(Echo):
    """Says first which process it is in."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(b"%d\n" % os.getpid())
