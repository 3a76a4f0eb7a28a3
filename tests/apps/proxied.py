"""Handlers of every kind that say, as JSON, whom they think they talk to, and what a PROXY header said of that.

They are asked by all that comes to its end; over TLS by a line.
"""

import asyncio
import json
import os
import socketserver
import ssl
from typing import Any


def _told(header: Any) -> Any:
    """What a header says, but its addresses."""
    if header is None:
        return None
    ssl = header.ssl
    return {
        "version": header.version,
        "family": header.family,
        "local": header.is_local,
        "alpn": header.alpn.decode(),
        "authority": header.authority,
        "unique_id": header.unique_id.decode("latin-1"),
        "netns": header.netns,
        "tls": [ssl.version, ssl.cn, ssl.cipher, ssl.is_verified] if ssl is not None else None,
    }


def _line(client: Any, server: Any, header: Any, data: bytes) -> bytes:
    record = {
        "client": client,
        "server": server,
        "header": _told(header),
        "data": len(data),
        "ends": data[-4:].decode("latin-1"),
    }
    return json.dumps(record).encode() + b"\n"


class Lane(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        data = self.rfile.readline() if hasattr(self.request, "version") else self.rfile.read()
        assert self.request.getpeername() == self.client_address
        self.wfile.write(_line(self.client_address, self.request.getsockname(), self.request.proxy_header, data))


class Hooked(socketserver.TCPServer):
    """A server with hooks of its own, whose connections go another way."""

    def get_request(self) -> Any:
        request, peer = super().get_request()
        assert request.getpeername() == peer
        return request, peer

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return True


def hooked() -> Hooked:
    return Hooked(("127.0.0.1", 0), Lane)


async def coroutine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    ask = writer.get_extra_info
    data = await (reader.readline() if ask("ssl_object") else reader.read())
    assert writer.transport.get_extra_info("peername") == ask("peername")
    writer.write(_line(ask("peername"), ask("sockname"), ask("proxy_header"), data))


class Protocol(asyncio.Protocol):
    transport: asyncio.Transport
    data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]  # it is one

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.transport.get_extra_info("ssl_object") and data.endswith(b"\n"):
            self.eof_received()
            self.transport.close()

    def eof_received(self) -> bool:
        ask = self.transport.get_extra_info
        self.transport.write(_line(ask("peername"), ask("sockname"), ask("proxy_header"), self.data))
        return False


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["CERTIFICATE"], os.environ["KEY"])
    return context


async def starttls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"go\n")
    await writer.start_tls(_context())
    data = await reader.readline()
    ask = writer.get_extra_info
    assert ask("ssl_object") is not None
    writer.write(_line(ask("peername"), ask("sockname"), ask("proxy_header"), data))
    await writer.drain()


class StartTls(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.task = asyncio.get_running_loop().create_task(self.secure())

    async def secure(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport.write(b"go\n")
        self.transport = await loop.start_tls(self.transport, self, _context(), server_side=True)

    def data_received(self, data: bytes) -> None:
        ask = self.transport.get_extra_info
        self.transport.write(_line(ask("peername"), ask("sockname"), ask("proxy_header"), data))


class Postbox:
    """For aiosmtpd, whose clients wait to be greeted: answers a mail with whom it is from, and was sent to."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # its name for it
        return f"250 {json.dumps([session.peer, server.transport.get_extra_info('sockname')])}"


def smtp() -> Any:
    """The protocol."""
    from aiosmtpd.smtp import SMTP  # noqa: PLC0415  # one test of many

    class Post(SMTP):
        def __init__(self) -> None:
            super().__init__(Postbox(), hostname="mail", loop=asyncio.get_running_loop())

    return Post


def wsgi(environ: Any, start_response: Any) -> Any:
    data = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json")])
    client = [environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"] or 0)] if environ["REMOTE_ADDR"] else None
    server = [environ["SERVER_NAME"], int(environ["SERVER_PORT"])]
    record = json.loads(_line(client, server, environ.get("forkful.proxy_header"), data))
    names = ("PROXY_", "wsgi.url_scheme")
    record["variables"] = {key: value for key, value in environ.items() if key.startswith(names)}
    return [json.dumps(record).encode() + b"\n"]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    header = scope["extensions"].get("proxy_protocol", {}).get("header")
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        text = _line(scope["client"], scope["server"], header, b"").decode()
        await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.close"})
        return
    data = b""
    more = True
    while more:
        event = await receive()
        data += event.get("body", b"")
        more = event.get("more_body", False)
    record = json.loads(_line(scope["client"], scope["server"], header, data)) | {"scheme": scope["scheme"]}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(record).encode() + b"\n"})
