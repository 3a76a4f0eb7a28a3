"""WebSockets with the client of the `websockets` library, which is nobody's of this house."""

from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage
from websockets.sync.client import ClientConnection, connect

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.wait import PATIENCE

Doors = Callable[[str], Door]
REFUSED = (
    InvalidMessage,
    ConnectionClosed,
    ConnectionError,
)  # as the client has it, in whichever moment it hears of it


def client(door: Door) -> ClientConnection:
    return connect("ws://test/chat", sock=door.connect(), open_timeout=PATIENCE, ping_interval=None, max_size=None)


def come(door: Door, host: str = "127.0.0.2") -> ClientConnection:
    """Another one, from that address."""
    return connect("ws://test/chat", sock=door.connect_from(host), open_timeout=PATIENCE, ping_interval=None)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_an_address_has_so_many_websockets_for_as_long_as_they_last(serve: Serve, doors: Doors, loop: str) -> None:
    door = doors("tcp")
    flags = ("--event-loop", loop, "--workers", "2", "--max-connections-per-ip", "2")
    server = serve("sockets:echo", *flags, binds=[door])

    with come(door) as one, come(door):
        for _ in range(3):
            with pytest.raises(REFUSED):
                come(door)
        with come(door, "127.0.0.3") as other:
            other.send("not concerned")
            assert other.recv(PATIENCE) == "not concerned"
        one.send("still here")
        assert one.recv(PATIENCE) == "still here"
        assert server.metrics().sum("forkful_refused_total", reason="crowded") == 3
        one.close()
        with server.wait_until(lambda: _come_if_may(door), what="room for another one") as next_one:
            next_one.send("room again")
            assert next_one.recv(PATIENCE) == "room again"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_websockets_of_an_address_come_so_often_and_messages_are_not_counted(
    serve: Serve, doors: Doors, loop: str
) -> None:
    door = doors("tcp")
    server = serve("sockets:echo", "--event-loop", loop, "--max-rate-per-ip", "1", binds=[door])

    with come(door) as websocket:
        for _ in range(20):
            websocket.send("x")
            assert websocket.recv(PATIENCE) == "x"
        with pytest.raises(REFUSED):
            _come_in_haste(door)
        with come(door, "127.0.0.3"):
            pass
    assert server.metrics().sum("forkful_refused_total", reason="rate") == 1


def _come_if_may(door: Door) -> ClientConnection | None:
    try:
        return come(door)
    except REFUSED:
        return None


def _come_in_haste(door: Door) -> None:
    for _ in range(100):
        come(door).close()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_messages_of_any_size_and_kind_come_back(serve: Serve, doors: Doors, loop: str) -> None:
    door = doors("tcp")
    serve("sockets:echo", "--event-loop", loop, binds=[door])

    with client(door) as websocket:
        for said in ("", "häl" * 100_000, b"", b"\xff" * 300_000, "x" * 5_000_000):
            websocket.send(said)
            assert websocket.recv(PATIENCE) == said
        websocket.send(["in", "", "parts"])
        assert websocket.recv(PATIENCE) == "inparts"
        assert websocket.ping().wait(PATIENCE)
    assert websocket.close_code == 1000


def test_the_settings_for_websockets_hold_at_the_start_and_after_a_reload(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    config = f'[pool.main]\nhandler = "sockets:echo"\nbind = ["{door.url}"]\n'
    first = 'websocket_max_size = "1K"\nwebsocket_compression = false\nwebsocket_ping_interval = "300ms"\n'
    server = serve(config=config + first, binds=[door])
    assert _limit(door, 1024)
    assert not _is_compressed(door)
    assert _asks(door)

    server.configure(config + 'websocket_max_size = "2K"\nwebsocket_compression = true\nwebsocket_ping_interval = 0\n')
    assert server.reload().returncode == 0
    assert _limit(door, 2048)
    assert _is_compressed(door)
    assert not _asks(door)


def _limit(door: Door, size: int) -> bool:
    with client(door) as websocket:
        websocket.send("x" * size)
        assert websocket.recv(PATIENCE) == "x" * size
        websocket.send("x" * (size + 1))
        with pytest.raises(ConnectionClosed):
            websocket.recv(PATIENCE)
    return websocket.close_code == 1009


def _is_compressed(door: Door) -> bool:
    with client(door) as websocket:
        return bool(websocket.protocol.extensions)


def _asks(door: Door) -> bool:
    """Whether a silent client is asked whether it is there."""
    with door.connect(timeout=3.0) as peer:
        peer.sendall(
            b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        heard = b""
        while not heard.endswith(b"\x89\x00"):
            try:
                heard += peer.recv(1000)
            except TimeoutError:
                return False
    return True
