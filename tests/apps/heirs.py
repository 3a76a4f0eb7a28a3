"""Servers of every kind that count their requests, and leave the count to the worker after them."""

import asyncio
import os
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from socketserver import BaseRequestHandler
from typing import Any

from forkful.handlers import bequeath, draining, inherited, owns_loop, when_inherited

counted = [0]


def take(left: bytes) -> None:
    counted[0] += int(left or b"0")


when_inherited(take)
bequeath(lambda: b"%d" % counted[0])


def count() -> bytes:
    counted[0] += 1
    return b"%d %d" % (counted[0], os.getpid())


class Lane(BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(100)
        self.request.sendall(count())


async def coroutine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(count())
    await writer.drain()
    writer.close()


class Protocol(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:  # Any: asyncio's
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(count())
        self.transport.close()


@owns_loop
def own(listeners: Sequence[socket.socket]) -> None:
    listener = listeners[0]
    draining().add_callback(listener.close)
    while not draining().is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(100)
            connection.sendall(count())


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ARG001  # Any: PEP 3333
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [count()]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ARG001  # Any: ASGI
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": count()})


class Waiting(BaseRequestHandler):
    """Asks in its handler what was left, and waits for that."""

    def handle(self) -> None:
        self.request.recv(100)
        self.request.sendall(b"%s %d" % (inherited(10.0), os.getpid()))


class Held(BaseRequestHandler):
    """A datagram that says `hold` is in hand until a file is there."""

    def handle(self) -> None:
        data, sock = self.request
        while data == b"hold" and not Path(os.environ["GATE"]).exists():
            time.sleep(0.01)
        sock.sendto(b"%s %d" % (data, os.getpid()), self.client_address)
