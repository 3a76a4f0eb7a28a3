"""WebSockets with the client of the `websockets` library, which is nobody's of this house."""

from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.wait import PATIENCE

Doors = Callable[[str], Door]


def client(door: Door) -> ClientConnection:
    return connect("ws://test/chat", sock=door.connect(), open_timeout=PATIENCE, ping_interval=None, max_size=None)


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
