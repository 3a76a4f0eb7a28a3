"""Handlers for addresses of every kind: a function and a protocol for datagrams, a handler with its own arguments."""

import asyncio
import functools
import http.server
import socketserver
from typing import Any


def packets(data: bytes, address: Any) -> bytes:  # noqa: ARG001  # what a handler of datagrams takes
    return data


async def stream(reader: Any, writer: Any) -> None:
    writer.write(await reader.read(100))
    writer.close()


class Packets(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


def partial() -> socketserver.BaseServer:
    """As `python -m http.server` makes it."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=".")
    return http.server.HTTPServer(("127.0.0.1", 0), handler)
