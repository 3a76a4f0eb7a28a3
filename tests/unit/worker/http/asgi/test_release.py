"""What a request held is released when it ends, by reference counting: the cyclic collector is off."""

import weakref
from typing import Any

import pytest

from forkful.handlers.asgi import Receive, Scope, Send
from tests.unit.worker.http.asgi.test_websocket import FIELDS
from tests.unit.worker.http.doors import AsgiDoor

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"


pytestmark = pytest.mark.usefixtures("collector_is_off")


class Kept:
    """Something of a request's."""


async def _answers(_: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"ok"})


async def _raises(_: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    await receive()
    raise ValueError


async def _streams(_: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    while True:
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass


async def _talks(_: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


@pytest.mark.parametrize(
    ("app", "raw"),
    [(_answers, GET), (_raises, GET), (_streams, GET), (_answers, POST), (_raises, POST), (_talks, FIELDS + b"\r\n")],
)
def test_nothing_of_a_request_outlives_it(app: Any, raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[weakref.ref[Kept]] = []

    async def holding(scope: Scope, receive: Receive, send: Send) -> None:
        mine = scope["kept"] = Kept()
        kept.append(weakref.ref(mine))
        await app(scope, receive, send)

    with AsgiDoor(holding) as door:
        monkeypatch.setattr(door.service, "failed", lambda *_: None)  # pytest keeps every record, with its traceback
        door.hear(raw)
        door.settle()
        door.connection.connection_lost(None)
        door.settle()
        vars(door.transport).pop("connection")  # a real transport lets go of its protocol by itself
        door.connect()

        assert [each() for each in kept] == [None]
