"""Handlers that block their event loop at the gate, where no request is in flight that would show it, or fail there."""

import asyncio
import ctypes
import gc
from collections.abc import Awaitable, Callable
from typing import Any

from stages import tell, wait_at_the_gate  # type: ignore[import-not-found]  # beside this file, as an operator has it

Message = dict[str, Any]


class Blocking(asyncio.Protocol):
    """Asked "wait", it has the whole loop wait."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data == b"wait":
            tell("started")
            wait_at_the_gate()
        self.transport.write(data)  # type: ignore[attr-defined]  # uvloop's is none by inheritance


class BlockingDatagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        tell("started")
        wait_at_the_gate()
        self.transport.sendto(data, addr)


async def afterwards(scope: Message, receive: Callable[[], Any], send: Callable[[Message], Awaitable[None]]) -> None:
    """An ASGI application that has answered, and then does what it calls background work."""
    match scope["type"]:
        case "lifespan":
            raise RuntimeError("none")
        case "websocket":
            await receive()
            await send({"type": "websocket.accept"})
        case "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})
    tell("started")
    wait_at_the_gate()


async def stuck_in_c(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Deadlocks in C, without letting go of the interpreter."""
    await reader.read(100)
    mutex, libc = ctypes.create_string_buffer(64), ctypes.PyDLL(None)  # PyDLL: with the interpreter's lock
    tell("started")
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)


async def littering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers, and leaves tasks behind that fail and nobody waits for."""

    async def fail() -> None:
        raise ValueError("of no request")

    data = await reader.read(100)
    for _ in range(5):
        asyncio.ensure_future(fail())  # noqa: RUF006  # that is the point
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    writer.write(data)


class FailsToBegin(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        raise ValueError("begin")


class FailsToEnd(Blocking):
    def connection_lost(self, exc: Exception | None) -> None:
        raise ValueError("end")


class FailsTwice(Blocking):
    """In `data_received`, and again when it is told of that."""

    def data_received(self, data: bytes) -> None:
        raise ValueError("data")

    def connection_lost(self, exc: Exception | None) -> None:
        raise ValueError("end")
