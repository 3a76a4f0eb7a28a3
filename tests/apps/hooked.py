"""Hooks that tell what they were called with, and whether an event loop ran; and handlers of every kind for them."""

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from socketserver import BaseRequestHandler
from typing import Any

from asgi import echo as asgi  # type: ignore[import-not-found]  # noqa: F401  # beside this file
from owners import plain as own  # type: ignore[import-not-found]  # noqa: F401  # as above

from forkful.handlers import HookContext

ORDER = ("on_load", "post_fork", "worker_ready", "worker_drain", "worker_exit")


def tell(hook: HookContext, how: str = "") -> None:
    try:
        loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    except RuntimeError:
        loop = "none"
    here = hook.pid == os.getpid()
    with Path(os.environ["EVENTS"]).open("a") as events:
        events.write(f"{hook.pool} {hook.hook} {hook.slot} {hook.pid} {hook.generation} {loop} {here} {how}\n")


def on_load(hook: HookContext) -> None:
    tell(hook)


def worker_start(hook: HookContext) -> None:
    tell(hook)


def worker_ready(hook: HookContext) -> None:
    tell(hook)


def worker_drain(hook: HookContext) -> None:
    tell(hook)


def worker_exit(hook: HookContext) -> None:
    tell(hook)


async def slowly(hook: HookContext) -> None:
    await asyncio.sleep(0.05)
    tell(hook, "slowly")


def later(hook: HookContext) -> Coroutine[Any, Any, None]:
    """A plain function that gives something to await."""
    return slowly(hook)


class Lane(BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(self.request.recv(100))


async def coroutine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(100))
    await writer.drain()
    writer.close()


class Datagrams(asyncio.DatagramProtocol):
    transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:  # Any: asyncio's
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:  # Any: as above
        self.transport.sendto(data, addr)


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # Any: PEP 3333's
    start_response("200 OK", [("Content-Length", "2")])
    return [environ["REQUEST_METHOD"].encode()[:2]]
