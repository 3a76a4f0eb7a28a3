"""What `abuse` asks: a lane, a coroutine and a web application, which do what they are told."""

import asyncio
import os
from collections.abc import Callable
from socketserver import BaseRequestHandler
from typing import Any


class Lane(BaseRequestHandler):
    def handle(self) -> None:
        asked = self.request.recv(100)
        if asked == b"die":
            os._exit(3)
        while asked == b"flood":
            self.request.sendall(bytes(1 << 20))
        self.request.sendall(asked)


async def loop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = await reader.read(100)
    if asked == b"stay":
        await reader.read(1)
    writer.write(asked)


def web(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:  # Any: as PEP 3333 has it
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(environ["PATH_INFO"])))])
    return [environ["PATH_INFO"].encode()]
