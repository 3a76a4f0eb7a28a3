"""Connections of coroutines, on a socket pair: what their handlers raise, and whose fault it is."""

import array
import asyncio
import socket
from collections.abc import Callable, Coroutine

import pytest

from forkful.worker.eventloop.accounting import Accounting
from forkful.worker.eventloop.coroutines import StreamService
from forkful.worker.ipc.scoreboard import CELLS, ERROR, RESET, STARTED
from forkful.worker.loop_worker import make_loop
from tests.kit.turns import turn

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


async def write_in_a_group(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def write() -> None:
        while True:
            writer.write(bytes(65_536))
            await writer.drain()

    async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as inner:
        outer.create_task(write())
        inner.create_task(write())


async def write_and_never_ask(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"still there?")
        await turn()


async def fail_beside_it(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def fail() -> None:
        await reader.read()
        raise ValueError("a mistake of the handler's")

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())
        group.create_task(write_in_a_group(reader, writer))


def outcome(handler: Handler) -> tuple[int, int, int]:
    """Begun, failed, reset: of a connection whose client goes away without a word."""
    row = memoryview(array.array("Q", [0] * CELLS))
    loop = make_loop("uvloop")
    service = StreamService(loop, Accounting(row, loop), handler)

    async def run() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            _, connection = await loop.connect_accepted_socket(service.maker(None), ours)
        assert connection.task is not None
        await asyncio.wait_for(connection.task, 10)

    loop.run_until_complete(run())
    loop.close()
    return row[STARTED], row[ERROR], row[RESET]


@pytest.mark.parametrize("handler", [write_in_a_group, write_and_never_ask])
def test_a_peer_that_is_gone_is_no_mistake(handler: Handler, caplog: pytest.LogCaptureFixture) -> None:
    assert outcome(handler) == (1, 0, 1)
    assert caplog.text == ""


def test_a_mistake_beside_it_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert outcome(fail_beside_it) == (1, 1, 0)
    assert "a mistake of the handler's" in caplog.text
