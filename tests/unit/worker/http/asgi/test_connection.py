"""ASGI without sockets: what an application may do with its scope, and whose tasks it runs in."""

import asyncio
from typing import Any

import pytest

from forkful.handlers.asgi import Application, Lifespan, Message, Receive, Scope, Send
from forkful.worker.ipc.scoreboard import ERROR, RESET
from tests.unit.worker.http.doors import AsgiDoor

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
    assert {what[1:3] for what in seen} == {(14, ((b"host", b"a"), (b"x-from", b"me")))}
    assert not any(what[3] for what in seen)


def heard(door: AsgiDoor, *pieces: bytes) -> bytes:
    for piece in pieces:
        door.hear(piece)
        door.settle()
    out = bytes(door.transport.out)
    door.transport.out.clear()
    return out


def answering(*bodies: Any, headers: Any = ()) -> Application:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for body in bodies[:-1]:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": bodies[-1]})

    return app


LENGTH_5 = [(b"content-length", b"5")]


@pytest.mark.parametrize(
    "app", [answering("text"), answering(b"abc", headers=LENGTH_5), answering(5), answering("text", b"")]
)
def test_an_answer_that_cannot_be_right_is_a_500_while_nothing_was_sent(app: Application) -> None:
    with AsgiDoor(app) as door:
        assert heard(door, GET % 1).startswith(b"HTTP/1.1 500 ")
        assert door.row[ERROR] == 1


def test_less_than_was_declared_never_looks_whole() -> None:
    with AsgiDoor(answering(b"abc", b"", headers=LENGTH_5)) as door:
        assert heard(door, GET % 1).endswith(b"abc")
        assert door.transport.aborted


@pytest.mark.parametrize("pieces", [[b"abcdefgh"], [b"abcde", b"fgh", b"i"]])
def test_more_than_was_declared_is_cut_off_and_logged_once(
    pieces: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    with AsgiDoor(answering(*pieces, headers=LENGTH_5)) as door:
        for _ in range(2):
            assert heard(door, GET % 1).endswith(b"\r\n\r\nabcde")
        assert [record.message.partition(": ")[2] for record in caplog.records] == [
            "the answer to GET '/1' is longer than its Content-Length, and is cut"
        ] * 2
        heard(door, (GET % 1).replace(b"GET", b"HEAD"))
        assert len(caplog.records) == 2


@pytest.mark.parametrize("body", [bytearray(b"abc"), memoryview(b"abc")])
def test_what_is_like_bytes_is_sent(body: Any) -> None:
    with AsgiDoor(answering(body)) as door:
        assert heard(door, GET % 1).endswith(b"Content-Length: 3\r\n\r\nabc")


def test_an_answer_before_the_whole_request_says_that_it_is_the_last() -> None:
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    with AsgiDoor(answering(b"abc")) as door:
        assert b"Connection" not in heard(door, post + b"hello")
        assert b"Connection: close" in heard(door, post + b"hell")
        assert door.transport.over


def test_a_client_that_closed_its_side_still_gets_its_answer() -> None:
    ready = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        await ready.wait()
        await _answer(send)

    with AsgiDoor(app) as door:
        heard(door, GET % 1)
        assert door.connection.eof_received() is True
        ready.set()
        assert heard(door, b"").endswith(b"ok")
        assert door.transport.closed


def test_the_last_of_a_pipeline_is_told_too_that_the_client_closed_its_side() -> None:
    told = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.append((scope["path"], (await receive())["type"]))
        if scope["path"] == "/2":
            told.append((scope["path"], (await receive())["type"]))
        await _answer(send)

    with AsgiDoor(app) as door:
        door.hear(GET % 1 + GET % 2)
        door.connection.eof_received()
        door.settle()
        assert door.transport.out.count(b"200 OK") == 1

    assert told == [("/1", "http.request"), ("/2", "http.request"), ("/2", "http.disconnect")]


def test_a_body_that_was_not_asked_for_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forkful.worker.http.http1.LINGER_BYTES", 1000)
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n"
    with AsgiDoor(answering(b"abc")) as door:
        assert heard(door, post).endswith(b"abc")
        for _ in range(9):
            door.hear(bytes(100_000))
        assert not door.transport.aborted


@pytest.mark.parametrize("asks", [True, False])
def test_a_startup_that_raises_is_told_if_it_was_one(asks: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        if asks:
            await receive()
        raise ValueError("the database is away")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(Lifespan(app, loop).startup())
    loop.close()

    assert ("the database is away" in caplog.text) is asks


def test_who_asks_is_told_that_the_client_closed_its_side_and_is_done_with_it() -> None:
    told: list[Message | BaseException] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        told.extend([await receive(), await receive(), await receive()])
        await _answer(send)  # dropped: what comes after it shall be done
        told.append({"type": "after"})

    with AsgiDoor(app) as door:
        heard(door, GET % 1)
        assert door.connection.eof_received() is True
        assert heard(door, b"") == b""
        assert door.transport.closed
        assert door.row[RESET] == 1

    assert [what["type"] for what in told if isinstance(what, dict)] == [
        "http.request",
        *["http.disconnect"] * 2,
        "after",
    ]


@pytest.mark.parametrize(("name", "row"), [("ClientDisconnect", RESET), ("ValueError", ERROR)])
def test_a_framework_that_says_that_the_client_left_has_not_failed(
    name: str, row: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        if (await receive())["type"] == "http.disconnect":
            raise type(name, (Exception,), {})

    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    with AsgiDoor(app) as door:
        heard(door, post)
        door.connection.connection_lost(None)
        door.settle()
        assert (door.row[RESET], door.row[ERROR]) == (row == RESET, row == ERROR)

    assert bool(caplog.records) is (row == ERROR)


def test_what_fails_behind_an_answer_is_logged_with_its_own_request(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send)
        await receive()
        if scope["path"] == "/1":
            raise ValueError("in the background")

    with AsgiDoor(app) as door:
        assert heard(door, GET % 1 + GET % 2).count(b"200 OK") == 2

    assert "error after the answer to GET '/1' from" in caplog.text


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
