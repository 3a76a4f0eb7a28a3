"""HTTP on brief transports: one request with `Connection: close`, answered from the accepted socket."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
import uvloop

from forkful.handlers.asgi import Lifespan, Receive, Scope, Send
from forkful.worker.eventloop.accounting import Accounting
from forkful.worker.eventloop.brief import Briefs
from forkful.worker.http.asgi.service import AsgiService
from forkful.worker.http.limits import Limits
from forkful.worker.ipc.scoreboard import ACTIVE, CELLS, RECEIVED, SENT, STARTED
from forkful.worker.net.local_address import LocalAddress
from forkful.worker.net.trust import NOBODY
from tests.kit.turns import turn

PATIENCE = 20
REQUEST = b"GET / HTTP/1.1\r\nHost: there\r\nConnection: close\r\n\r\n"


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = uvloop.new_event_loop()
    yield loop
    loop.close()


@pytest.mark.parametrize("more", [b"", b"\r\n", b"GET /next HTTP/1.1\r\nHost: there\r\n\r\n"])
def test_whoever_says_more_than_the_last_request_still_reads_the_whole_answer(
    loop: asyncio.AbstractEventLoop, more: bytes
) -> None:
    """A close with unread bytes would reset the connection, and with it what the client has not read yet."""
    row = memoryview(bytearray(CELLS * 8)).cast("Q")
    goes_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.request"
        await goes_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answer to " + scope["raw_path"]})

    async def run(listener: socket.socket, client: socket.socket) -> bytes:
        service = AsgiService(
            asyncio.get_running_loop(), Accounting(row, loop), Limits(), app, Lifespan(app, loop), trust=NOBODY
        )  # fmt: skip
        accepted, peer = listener.accept()
        client.sendall(REQUEST)
        briefs = Briefs(loop, service.manner, is_tcp=True)
        briefs.begin(accepted, peer, service.maker(LocalAddress("there", 80))())
        if more:
            client.sendall(more)
        goes_on.set()
        while service.busy:
            await turn()
        heard = await loop.run_in_executor(None, until_end, client)
        client.close()
        while service.connections:
            await turn()
        return heard

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        client.settimeout(PATIENCE)
        heard = loop.run_until_complete(asyncio.wait_for(run(listener, client), PATIENCE))
    assert heard.endswith(b"answer to /")
    assert (row[STARTED], row[ACTIVE], row[SENT]) == (1, 0, len(heard))
    assert row[RECEIVED] >= len(REQUEST)


def until_end(sock: socket.socket) -> bytes:
    heard = b""
    while piece := sock.recv(100_000):
        heard += piece
    return heard
