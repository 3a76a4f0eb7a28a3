"""Handlers that say how they are secured, one of each kind."""

import asyncio
import os
import socketserver
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any

BIG = 5_000_000

Message = MutableMapping[str, Any]


def said(tls: Any) -> bytes:
    """A line: the process, the version, and who the client is."""
    peer = tls.getpeercert() or {}
    who = [value for part in peer.get("subject", ()) for key, value in part if key == "commonName"]
    return f"{os.getpid()} {tls.version()} {','.join(who)}\n".encode()


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            if line == b"big\n":
                self.wfile.write(b"x" * BIG)
                return
            self.wfile.write(said(self.connection) if line == b"who\n" else line.upper())


async def coroutine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    tls = writer.get_extra_info("ssl_object")
    async for line in reader:
        if line == b"big\n":
            writer.write(b"x" * BIG)
            break
        writer.write(said(tls) if line == b"who\n" else line.upper())
        await writer.drain()
    writer.close()


class Protocol(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            if line == b"big":
                self.transport.write(b"x" * BIG)
                self.transport.close()
                return
            who = self.transport.get_extra_info("ssl_object")
            self.transport.write(said(who) if line == b"who" else line.upper() + b"\n")


class Buffered(asyncio.BufferedProtocol):
    """The same by way of a buffer of its own."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.inner = Protocol()
        self.inner.connection_made(transport)
        self.room = bytearray(7)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.room

    def buffer_updated(self, nbytes: int) -> None:
        self.inner.data_received(bytes(self.room[:nbytes]))


def wsgi(environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
    read = environ["wsgi.input"].read()
    names = sorted(name for name in environ if name.startswith(("SSL_", "HTTPS", "HTTP_SSL", "wsgi.url_scheme")))
    body = "".join(f"{name}={environ[name]!r}\n" for name in names) + f"pid={os.getpid()}\nread={len(read)}\n"
    if environ["PATH_INFO"] == "/big":
        body = "x" * BIG
    if environ["PATH_INFO"] == "/file":
        start("200 OK", [])
        file = Path(environ["QUERY_STRING"]).open("rb")  # noqa: SIM115  # the server closes it
        found: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return found
    start("200 OK", [("Content-Type", "text/plain")])
    return [body.encode("utf-8")]


async def asgi(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": f"{scope['scheme']} {'tls' in scope['extensions']}"})
        await send({"type": "websocket.close"})
        return
    while (await receive()).get("more_body"):
        pass
    told = scope["extensions"].get("tls", {})
    body = f"scheme={scope['scheme']}\n" + "".join(f"{key}={value!r}\n" for key, value in told.items())
    if scope["path"] == "/big":
        body = "x" * BIG
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/file":
        await send({"type": "http.response.pathsend", "path": scope["query_string"].decode()})
        return
    await send({"type": "http.response.body", "body": body.encode()})
