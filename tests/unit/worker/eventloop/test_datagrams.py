"""Datagram endpoints begin with a protocol that could begin, or not at all."""

import array
import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from forkful.worker.eventloop.accounting import Accounting
from forkful.worker.eventloop.datagrams import Datagrams, Endpoint
from forkful.worker.ipc.boot_error import BootError
from forkful.worker.ipc.scoreboard import CELLS
from tests.kit.turns import turn


class Fails(asyncio.DatagramProtocol):
    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture(params=["127.0.0.1", "0.0.0.0", "unixgram"])  # the kernel's own port, and nobody is told
def sock(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    family = socket.AF_UNIX if request.param == "unixgram" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "sock") if family == socket.AF_UNIX else (request.param, 0))
        yield made


def begin(loop: asyncio.AbstractEventLoop, sock: socket.socket, error: BaseException | None) -> None:
    accounting = Accounting(memoryview(array.array("Q", [0] * CELLS)), loop)
    endpoint = Endpoint(loop, sock, Datagrams(Fails(error), accounting, 0))

    async def attempt() -> None:
        try:
            await endpoint.start()
        finally:
            endpoint.stop()
            await turn()
            await turn()

    loop.run_until_complete(attempt())


@pytest.mark.parametrize("error", [ValueError("no database"), SystemExit(3)])
def test_a_protocol_that_fails_as_it_gets_its_transport_is_a_worker_that_does_not_begin(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, error: BaseException
) -> None:
    with pytest.raises(BootError, match="connection_made") as caught:
        begin(loop, sock, error)
    assert "raise self.error" in caught.value.traceback


def test_one_that_does_not_fail_begins(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    begin(loop, sock, None)
