"""Handlers for what networks do: datagrams that are answered, to one or to all on a network, and lines."""

import asyncio
from socketserver import BaseRequestHandler
from typing import Any


class Echo(BaseRequestHandler):
    def handle(self) -> None:
        data, sock = self.request
        sock.sendto(data, self.client_address)


class Shout(BaseRequestHandler):
    """Sends what it gets to the broadcast address, or says that it may not."""

    def handle(self) -> None:
        data, sock = self.request
        host, port = self.client_address[:2]
        try:
            sock.sendto(data, (host.rpartition(".")[0] + ".255", port))
        except PermissionError:
            sock.sendto(b"not allowed", self.client_address)


class Protocol(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
