"""Protocols of the user's: what a connection had is gone when it ends."""

import asyncio
import gc
import socket
import weakref
from typing import Any

from forkful.worker.eventloop.accounting import Accounting
from forkful.worker.eventloop.brief import Briefs
from forkful.worker.eventloop.protocols import ProtocolService
from forkful.worker.ipc.scoreboard import CELLS, STARTED
from tests.kit.turns import turn


class Once(asyncio.Protocol):
    """An answer, the end."""

    transport: Any  # Any: of either kind

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()


def test_a_brief_connection_is_released_without_the_collector(loop: asyncio.AbstractEventLoop) -> None:
    kept: list[weakref.ref[Once]] = []

    def factory() -> Once:
        protocol = Once()
        kept.append(weakref.ref(protocol))
        return protocol

    async def scene(client: socket.socket, server: socket.socket) -> bytes:
        accounting = Accounting(memoryview(bytearray(CELLS * 8)).cast("Q"), loop)
        service = ProtocolService(loop, accounting, factory)
        briefs = Briefs(loop, service.manner, is_tcp=False)
        client.sendall(b"hello")
        briefs.begin(server, "", service.maker(None)())
        await turn()
        assert accounting.row[STARTED] == 1
        assert not accounting.connections
        return client.recv(100) + client.recv(100)

    client, server = socket.socketpair()
    gc.disable()
    try:
        with client:
            assert loop.run_until_complete(scene(client, server)) == b"hello"
        assert [reference() for reference in kept] == [None]
    finally:
        gc.enable()
