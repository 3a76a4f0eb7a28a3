"""Loads of a known saturation: connections that are held, and an event loop that has work for a share of the time."""

import asyncio
import time
from socketserver import BaseRequestHandler, StreamRequestHandler

from prometheus_client import Counter

HOLD = 0.6  # seconds
EACH = 0.05  # seconds of work at a time
BLOCKED = 100
BUSY = Counter("app_busy_seconds", "Time with work, as the handler itself measures it.")


class Held(StreamRequestHandler):
    """Says that it is here, and holds its lane until the client has gone."""

    def handle(self) -> None:
        self.wfile.write(b"!")
        self.rfile.read()


class HeldDatagram(BaseRequestHandler):
    """Echoes; for "hold" it first holds its lane for a moment."""

    def handle(self) -> None:
        data, sock = self.request
        if data == b"hold":
            time.sleep(HOLD)
        sock.sendto(data, self.client_address)


async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A client says how many percent of the time the loop shall have work. With 100 it is blocked, without the CPU."""
    percent = int(await reader.readline())
    writer.write(b"!")
    await writer.drain()
    gone = asyncio.ensure_future(reader.read())
    while not gone.done():
        began = time.monotonic()
        if percent == BLOCKED:
            time.sleep(5)  # the fault that is to be seen
        end = time.thread_time() + EACH * percent / 100
        while time.thread_time() < end:
            pass
        BUSY.inc(time.monotonic() - began)
        await asyncio.wait([gone], timeout=EACH * (100 - percent) / 100)
    writer.close()
