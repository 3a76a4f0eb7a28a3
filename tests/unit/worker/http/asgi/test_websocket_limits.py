"""What one peer of a WebSocket can cost, what settings say of it, and codes that may not be sent."""

import asyncio
import tracemalloc
import zlib

import pytest

from forkful.handlers.asgi import Receive, Scope, Send
from forkful.worker.http.asgi import websocket
from forkful.worker.http.limits import Limits
from forkful.worker.ipc.scoreboard import ERROR
from tests.unit.worker.http.asgi.test_websocket import FIELDS, said
from tests.unit.worker.http.doors import AsgiDoor


def bomb(size: int) -> bytes:
    """One message of zeros, packed."""
    packer = zlib.compressobj(9, wbits=-12)
    packed = (packer.compress(bytes(size)) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    return b"\xc2\xff" + len(packed).to_bytes(8, "big") + bytes(4) + packed


DEFLATE = FIELDS + b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"


@pytest.mark.parametrize("size", [5_000_001, 200_000_000])
def test_a_message_that_is_small_only_while_compressed_is_refused(size: int) -> None:
    packed = bomb(size)
    with AsgiDoor(limits=Limits(websocket_size=5_000_000)) as door:
        said(door, DEFLATE)
        tracemalloc.start()
        heard = said(door, packed)
        left, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert heard[0] == 0x88  # a goodbye
    assert heard[2:4] == (1009).to_bytes(2, "big")
    assert peak < 5_000_000 * 3 + len(packed) * 4
    assert left < 1_000_000, "the connection is still there"


def test_a_message_of_the_longest_size_passes_in_one_piece_and_in_many() -> None:
    with AsgiDoor(limits=Limits(websocket_size=1000)) as door:
        said(door, FIELDS + b"\r\n")
        whole = b"\x82\xfe" + (1000).to_bytes(2, "big") + bytes(4) + bytes(1000)
        parts = b"\x02\xfe" + (500).to_bytes(2, "big") + bytes(4) + bytes(500)
        assert len(said(door, whole)) == 1004
        assert len(said(door, parts, b"\x80" + parts[1:])) == 1004
        assert said(door, parts, b"\x00" + parts[1:], b"\x80\x81" + bytes(5))[2:4] == (1009).to_bytes(2, "big")


def test_who_fills_the_memory_of_a_process_with_what_nobody_reads_is_sent_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "TOGETHER", 3_000_000)

    async def reads_nothing(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await go

    with AsgiDoor(reads_nothing) as door:
        go = door.loop.create_future()
        heard = []
        for _ in range(12):
            door.connect()
            said(door, DEFLATE)
            heard.append(said(door, bomb(1_000_000))[2:4])
        assert door.service.held < 4_000_000
        go.set_result(None)
        door.settle()

    assert heard == [b""] * 2 + [(1013).to_bytes(2, "big")] * 10


def test_one_peers_frames_are_worked_on_in_turns_with_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "TURN", 0)
    turns = 0

    def turn(loop: asyncio.AbstractEventLoop) -> None:
        nonlocal turns
        turns += 1
        if turns < 100:
            loop.call_soon(turn, loop)

    with AsgiDoor() as door:
        said(door, FIELDS + b"\r\n")
        door.loop.call_soon(turn, door.loop)
        heard = said(door, b"\x01\x82\0\0\0\0ab" + b"\x00\x82\0\0\0\0ab" * 8000 + b"\x80\x80\0\0\0\0")
        for _ in range(100):
            if heard:
                break
            heard = said(door, b"")

    assert heard == b"\x81\x7e" + (16_002).to_bytes(2, "big") + b"ab" * 8001
    assert turns > 10


@pytest.mark.parametrize(
    ("code", "wire"),
    [
        (1000, b"\x88\x02\x03\xe8"),
        (None, b"\x88\x02\x03\xe8"),
        (3000, b"\x88\x02\x0b\xb8"),
        (4999, b"\x88\x02\x13\x87"),
        (1005, b"\x88\x00"),
        (1006, b"\x88\x02\x03\xf3"),
        (1015, b"\x88\x02\x03\xf3"),
        (999, b"\x88\x02\x03\xf3"),
        (1004, b"\x88\x02\x03\xf3"),
        (2999, b"\x88\x02\x03\xf3"),
        (5000, b"\x88\x02\x03\xf3"),
        (70_000, b"\x88\x02\x03\xf3"),
    ],
)
def test_codes_that_mean_something_else_are_never_sent(code: int | None, wire: bytes) -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": code})

    with AsgiDoor(app) as door:
        assert said(door, FIELDS + b"\r\n").partition(b"\r\n\r\n")[2] == wire
        assert door.row[ERROR] == (code in (999, 1004, 2999, 5000, 70_000))


def test_a_reason_that_is_too_long_is_cut_between_characters() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000, "reason": "é" * 100})

    with AsgiDoor(app) as door:
        frame = said(door, FIELDS + b"\r\n").partition(b"\r\n\r\n")[2]

    assert frame[4:].decode() == "é" * 61


def test_compression_can_be_switched_off() -> None:
    with AsgiDoor(limits=Limits(websocket_compression=False)) as door:
        assert b"xtensions" not in said(door, DEFLATE)


@pytest.mark.parametrize("interval", [20.0, 3.0, 0.0])
def test_a_silent_peer_is_asked_and_given_up_after_the_interval(interval: float) -> None:
    with AsgiDoor(limits=Limits(websocket_ping=interval)) as door:
        said(door, FIELDS + b"\r\n")
        peer = door.connection
        now = peer.since + int(interval * 1e9)
        if not interval:
            assert peer.overdue(now + 10**15) == 0
            return
        assert peer.overdue(now - 1) == now
        peer.overdue(now)
        assert bytes(door.transport.out) == b"\x89\x00"
        assert said(door, b"\x8a\x80\0\0\0\0") == b"\x89\x00"
        peer.overdue(peer.since + int(interval * 1e9))
        peer.overdue(peer.since + int(interval * 1e9))
        assert door.transport.over
