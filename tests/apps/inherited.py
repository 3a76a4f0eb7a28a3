"""Handlers of every kind that tell which modules their worker has imported since it was forked."""

import asyncio
import os
import sys
from collections.abc import Iterable
from socketserver import BaseRequestHandler
from typing import Any

_before: set[str] = set()
os.register_at_fork(before=lambda: _before.update(sys.modules))


def _since() -> bytes:
    return b"since the fork: " + " ".join(sorted(set(sys.modules) - _before)).encode()


def wsgi(_environ: object, start_response: Any) -> Iterable[bytes]:  # Any: PEP 3333's
    start_response("200 OK", [])
    return [_since()]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:  # Any: ASGI's
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": _since()})


class Handler(BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(1024)
        self.request.sendall(_since())


async def coroutine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(_since())
    writer.close()


class Protocol(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:  # Any: asyncio's transports have no common type that writes
        self.transport = transport

    def data_received(self, _data: bytes) -> None:
        self.transport.write(_since())
        self.transport.close()
