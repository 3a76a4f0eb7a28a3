"""What the chaos serves: an echo of each kind; broken while the file of that name is there."""

import asyncio
import os
from pathlib import Path

import asgi  # type: ignore[import-not-found]  # beside this file, as an operator has it
import classic  # type: ignore[import-not-found]  # as above
import loops  # type: ignore[import-not-found]  # as above
import wsgi  # type: ignore[import-not-found]  # as above

if Path(os.environ["BROKEN"]).exists():
    raise RuntimeError("this version is broken")

Stream, Datagram, DatagramProtocol = classic.EchoHandler, classic.DatagramEcho, loops.Datagrams
wsgi_echo, asgi_echo = wsgi.echo, asgi.echo


async def coroutine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(65_536))
    await writer.drain()
