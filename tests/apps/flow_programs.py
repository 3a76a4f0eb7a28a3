"""Datagram servers from PyPI that keep what they know of a peer in memory, each as its documentation makes it.

Each is imported by its own function: a worker pays for the one that it serves.
"""

# ruff: noqa: PLC0415  # as said above

import asyncio
import os
from collections import Counter
from typing import Any


def quic() -> Any:
    """aioquic: a protocol that keeps its connections; each stream is answered with who serves it."""
    from aioquic.asyncio.server import QuicServer
    from aioquic.quic.configuration import QuicConfiguration

    tasks = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(b"%d %s" % (os.getpid(), line))

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(answer(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    configuration = QuicConfiguration(is_client=False)
    configuration.load_cert_chain(os.environ["CERTIFICATE"], os.environ["KEY"])

    class Server(QuicServer):
        def __init__(self) -> None:
            super().__init__(configuration=configuration, stream_handler=begin)

    return Server


def osc() -> Any:
    """python-osc: a UDP server of socketserver whose dispatcher is told who sends, and answers how often that was."""
    from pythonosc.dispatcher import Dispatcher
    from pythonosc.osc_server import BlockingOSCUDPServer

    counts: Counter[Any] = Counter()

    def count(peer: Any, _address: str) -> tuple[str, int]:
        counts[peer] += 1
        return "/count", counts[peer]

    dispatcher = Dispatcher()
    dispatcher.map("/count", count, needs_reply_address=True)
    return BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher)
