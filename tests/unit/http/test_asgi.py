"""ASGI without sockets: what an application may do with its scope, and whose tasks it runs in."""

import asyncio
from typing import Any

from forkful.handlers.asgi import Receive, Scope, Send
from tests.unit.http.doors import AsgiDoor

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\nX-From: me\r\n\r\n"


async def _answer(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def test_what_an_application_changes_in_its_scope_never_reaches_the_next_request() -> None:
    seen = []

    async def meddler(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        seen.append((scope["path"], len(scope), tuple(scope["headers"]), dict(scope["state"])))
        scope["headers"].append((b"x-user", b"admin"))
        scope["user"] = scope["state"]["user"] = "admin"
        scope["path"] = "/changed"
        await _answer(send)

    with AsgiDoor(meddler) as door:
        for number in (1, 1, 1, 2, 2):
            door.hear(GET % number)
            door.settle()

    assert [path for path, *_ in seen] == ["/1", "/1", "/1", "/2", "/2"]
    assert {what[1:3] for what in seen} == {(13, ((b"host", b"a"), (b"x-from", b"me")))}
    assert not any(what[3] for what in seen)


def test_a_task_factory_of_the_application_makes_its_tasks() -> None:
    made = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        await _answer(send)

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **_: Any) -> asyncio.Task[Any]:
        made.append(asyncio.Task(coroutine, loop=loop))
        return made[-1]

    with AsgiDoor(app) as door:
        door.loop.set_task_factory(factory)
        door.hear(GET % 1)
        door.settle()
        assert door.transport.out.endswith(b"ok")

    assert len(made) == 1
    assert not door.service.tasks


def test_several_tasks_of_one_call_may_send_and_receive() -> None:
    told: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def speak() -> None:
            await send({"type": "http.response.body", "body": b"piece", "more_body": True})
            told.append("sent")
            while (await receive())["type"] != "http.disconnect":
                pass
            told.append("gone")

        await asyncio.gather(speak(), speak(), speak())

    with AsgiDoor(app, slow=True) as door:
        door.hear(GET % 1)
        door.settle()
        assert not told, "the client does not read"
        door.transport.drained()
        door.settle()
        assert told == ["sent"] * 3
        door.connection.connection_lost(None)
        door.settle()

    assert told == ["sent"] * 3 + ["gone"] * 3
