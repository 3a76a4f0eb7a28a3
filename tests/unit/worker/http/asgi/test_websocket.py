"""WebSockets with peers that break the rules, do not read, or send what costs more than it seems to."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, Pong, Request, TextMessage

from forkful.handlers.asgi import Application, Receive, Scope, Send
from forkful.worker.http.access_log import Access
from forkful.worker.ipc.scoreboard import ERROR, REFUSED, RESET
from tests.unit.worker.http.doors import AsgiDoor
from tests.unit.worker.http.test_access_log import Lines

FIELDS = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
HELLO = b"\x81\x85\0\0\0\0hello"  # masked with zeros, as a client must mask


@pytest.fixture
def door() -> Iterator[AsgiDoor]:
    with AsgiDoor() as door:
        yield door


def said(door: AsgiDoor, *pieces: bytes) -> bytes:
    for piece in pieces:
        if not door.transport.over:
            door.hear(piece)
            door.settle()
    heard = bytes(door.transport.out)
    door.transport.out.clear()
    return heard


async def deaf(_: Scope, receive: Receive, send: Send) -> None:
    """Accepts, and then has no ear for what comes until the end."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "nothing"})


def test_frames_that_come_with_the_handshake_are_not_lost(door: AsgiDoor) -> None:
    head, _, frames = said(door, FIELDS + b"\r\n" + HELLO, HELLO).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 101 ")
    assert frames == b"\x81\x05hello" * 2


def test_who_does_not_wait_for_the_answer_is_not_read_without_end() -> None:
    async def late(_: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        await receive()

    with AsgiDoor(late) as door:
        said(door, FIELDS + b"\r\n", *[bytes(50_000)] * 2)
        assert door.transport.paused
        door.connection.connection_lost(None)
        door.settle()


@pytest.mark.parametrize(
    "field",
    [b"Sec-WebSocket-Protocol: \xff", b"Sec-WebSocket-Extensions: \xff", b"Sec-WebSocket-Protocol: a b"],
)
def test_a_handshake_that_makes_no_sense_is_refused(field: bytes, door: AsgiDoor) -> None:
    assert said(door, FIELDS + field + b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert door.row[REFUSED] == 1


@pytest.mark.parametrize("version", [b"12", b"14", b"13, 8", b"130"])
def test_a_handshake_of_another_version_is_told_which_one_we_speak(version: bytes, door: AsgiDoor) -> None:
    heard = said(door, FIELDS.replace(b"Version: 13", b"Version: " + version) + b"\r\n")

    assert heard.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in heard
    assert b"\r\nUpgrade: websocket\r\n" in heard


@pytest.mark.parametrize("key", [b"", b"dGhl", b"dGhlIHNhbXBsZSBub25jZQ=!", b"AAAA" * 100])
def test_a_handshake_without_a_good_key_is_refused(key: bytes, door: AsgiDoor) -> None:
    assert said(door, FIELDS.replace(b"dGhlIHNhbXBsZSBub25jZQ==", key) + b"\r\n").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("bits", [b"nonsense", b"99", b"1a"])
def test_an_offer_that_makes_no_sense_is_declined(bits: bytes, door: AsgiDoor) -> None:
    offer = b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=" + bits + b"\r\n\r\n"

    heard = said(door, FIELDS + offer + HELLO)

    assert heard.startswith(b"HTTP/1.1 101 ")
    assert b"permessage-deflate" not in heard
    assert heard.endswith(b"\x81\x05hello")
    assert door.row[ERROR] == 0


@pytest.mark.parametrize("field", [(b"X", b"a\r\nSet-Cookie: b"), (b"X\r\nY", b"a"), (b"X", b"a\0")])
def test_splitting_the_answer_to_a_handshake_is_refused(field: tuple[bytes, bytes]) -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "headers": [field]})

    with AsgiDoor(app) as door:
        heard = said(door, FIELDS + b"\r\n")

    assert heard.startswith(b"HTTP/1.1 500 ")
    assert b"Set-Cookie" not in heard


def test_pings_of_a_peer_that_does_not_read_are_answered_once() -> None:
    with AsgiDoor(slow=True) as door:
        said(door, FIELDS + b"\r\n")  # this fills what is sent and not read
        assert said(door, b"\x89\x81\0\0\0\0a" * 1000) == b""
        assert said(door, b"\x89\x81\0\0\0\0z") == b""

        door.transport.drained()
        door.settle()

        assert bytes(door.transport.out) == b"\x8a\x01z"


@pytest.mark.parametrize("frame", [b"\x81\x80\0\0\0\0", HELLO], ids=["empty", "hello"])
def test_messages_nobody_takes_stop_the_reading(frame: bytes) -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await go
        assert len([await receive() for _ in range(sent)]) == sent

    with AsgiDoor(app) as door:
        go, sent = door.loop.create_future(), 0
        said(door, FIELDS + b"\r\n")
        while not door.transport.paused:
            said(door, frame * 100)
            sent += 100
            assert sent <= 10_000, "so many messages may not wait"
        go.set_result(None)
        door.settle()
        assert not door.transport.paused


def test_a_message_in_parts_that_are_empty_takes_no_room(door: AsgiDoor) -> None:
    said(door, FIELDS + b"\r\n", b"\x01\x80\0\0\0\0")

    said(door, *[b"\0\x80\0\0\0\0" * 1000] * 5)

    assert door.service.held < 10
    assert said(door, b"\x80\x81\0\0\0\0x") == b"\x81\x01x"


def test_a_conversation(door: AsgiDoor) -> None:
    client = WSConnection(ConnectionType.CLIENT)

    def hear(*events: Event) -> list[Event]:
        client.receive_data(said(door, *(client.send(event) for event in events)))
        return list(client.events())

    assert isinstance(hear(Request(host="a", target="/"))[0], AcceptConnection)
    assert hear(TextMessage(data="hi"), Ping(payload=b"x")) == [TextMessage(data="hi"), Pong(payload=b"x")]
    assert hear(CloseConnection(code=1000)) == [CloseConnection(code=1000, reason="")]
    assert door.transport.closed


@pytest.mark.parametrize("frame", [b"\x81\x05hello", b"\xf1\x80\0\0\0\0", b"\x83\x80\0\0\0\0"])
def test_a_peer_that_breaks_the_protocol_is_told_so(frame: bytes, door: AsgiDoor) -> None:
    said(door, FIELDS + b"\r\n")

    assert said(door, frame)[:4] in (b"\x88\x02\x03\xea", b"\x88\x18\x03\xea") or door.transport.closed
    assert door.transport.closed


async def closes(_: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close"})
    ends.extend([dict(await receive()) for _ in range(2)])


async def denies(_: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"no"})
    ends.extend([dict(await receive()) for _ in range(2)])


async def leaves(_: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 4000, "reason": "enough"})
    ends.extend([dict(await receive()) for _ in range(2)])


ends: list[dict[str, Any]] = []


@pytest.mark.parametrize(("app", "code"), [(closes, 1006), (denies, 1006), (leaves, 4000)])
def test_an_application_is_told_of_the_end_as_often_as_it_asks(app: Application, code: int) -> None:
    ends.clear()
    with AsgiDoor(app) as door:
        said(door, FIELDS + b"\r\n")
        assert not door.service.tasks

    assert [(message["type"], message["code"]) for message in ends] == [("websocket.disconnect", code)] * 2


def test_an_application_is_told_how_a_peer_broke_the_protocol() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        ends.append(dict(await receive()))

    ends.clear()
    with AsgiDoor(app) as door:
        said(door, FIELDS + b"\r\n", b"\x81\x82\0\0\0\0\xff\xff")  # no UTF-8

    assert [message["code"] for message in ends] == [1007]


def test_who_is_accepted_by_a_worker_that_leaves_is_sent_away(door: AsgiDoor) -> None:
    door.service.drain()

    head, _, frames = said(door, FIELDS + b"\r\n").partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 101 ")
    assert frames[:4] == b"\x88\x11" + (1012).to_bytes(2, "big")


def test_sending_after_our_goodbye_is_no_error_of_the_applications(caplog: pytest.LogCaptureFixture) -> None:
    async def broadcasts(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await send({"type": "websocket.send", "text": "news"})

    with AsgiDoor(broadcasts) as door:
        said(door, FIELDS + b"\r\n")
        door.service.drain()
        door.settle()
        assert (door.row[RESET], door.row[ERROR]) == (1, 0)

    assert not caplog.records


@pytest.mark.parametrize(
    ("app", "status"), [(closes, 403), (denies, 401), (leaves, 101)], ids=["closes", "denies", "leaves"]
)
def test_a_websocket_is_in_the_access_log(app: Application, status: int) -> None:
    lines = Lines()
    with AsgiDoor(app) as door:
        door.service.access = Access(lines, "%(s)s %(r)s")
        said(door, FIELDS + b"\r\n")

    assert lines.lines == [f"{status} GET /chat HTTP/1.1"]


def test_an_application_that_says_what_it_cannot_ends_the_conversation_with_1011() -> None:
    with AsgiDoor(deaf) as door:
        heard = said(door, FIELDS + b"\r\n")

    assert heard.partition(b"\r\n\r\n")[2] == b"\x88\x02" + (1011).to_bytes(2, "big")
    assert door.row[ERROR] == 1


def test_several_tasks_of_one_call_may_send_and_receive() -> None:
    told: list[str] = []

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})

        async def speak() -> None:
            await send({"type": "websocket.send", "text": "a"})
            told.append("sent")
            told.append((await receive())["type"])

        await asyncio.gather(speak(), speak())

    with AsgiDoor(app, slow=True) as door:
        said(door, FIELDS + b"\r\n")
        door.transport.drained()
        door.settle()
        assert not told, "the client does not read"
        door.transport.drained()
        door.settle()
        assert told == ["sent"] * 2
        said(door, HELLO)
        assert told == ["sent"] * 2 + ["websocket.receive"]
        said(door, HELLO)
        assert told == ["sent"] * 2 + ["websocket.receive"] * 2
        door.connection.connection_lost(None)
        door.settle()
