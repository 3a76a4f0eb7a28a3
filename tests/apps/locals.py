"""Handlers for addresses of every kind: a function and a protocol for datagrams, a handler with its own arguments."""

import asyncio
import functools
import http.server
import socketserver
import threading
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


class OwnThreads(socketserver.ThreadingUDPServer):
    """Starts a thread for each datagram by itself."""

    def process_request(self, request: Any, client_address: Any) -> None:
        threading.Thread(target=self.process_request_thread, args=(request, client_address)).start()


class Answer(socketserver.DatagramRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.read())


def own_threads() -> socketserver.BaseServer:
    return OwnThreads(("127.0.0.1", 0), Answer)


def partial() -> socketserver.BaseServer:
    """As `python -m http.server` makes it."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=".")
    return http.server.HTTPServer(("127.0.0.1", 0), handler)
