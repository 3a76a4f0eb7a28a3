"""Servers that keep a count for each peer, and leave it to the worker after them.

What they answer: the datagram itself, the inode of the socket that it came by, who serves, and how many of this peer
were counted.
"""

import asyncio
import json
import os
from socketserver import BaseRequestHandler, ThreadingUDPServer
from typing import Any

from forkful.handlers import bequeath, inherited, when_inherited

counts: dict[str, int] = {}

when_inherited(lambda left: counts.update(json.loads(left or b"{}")))
bequeath(lambda: json.dumps(counts).encode())


def answer(data: bytes, peer: tuple[Any, ...], sock: Any) -> bytes:  # Any: an address, and what has a fileno()
    who = f"{peer[0]} {peer[1]}"
    counts[who] = counts.get(who, 0) + 1
    return b"%s %d %d %d" % (data, os.fstat(sock.fileno()).st_ino, os.getpid(), counts[who])


class Lane(BaseRequestHandler):
    def handle(self) -> None:
        data, sock = self.request
        sock.sendto(answer(data, self.client_address, sock), self.client_address)


def threaded() -> ThreadingUDPServer:
    return ThreadingUDPServer(("127.0.0.1", 0), Lane, bind_and_activate=False)


class Protocol(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.transport: Any = None  # Any: asyncio's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert inherited() is not None, "known here: nobody before us takes anything more"
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:  # Any: an address
        self.transport.sendto(answer(data, addr, self.transport.get_extra_info("socket")), addr)
