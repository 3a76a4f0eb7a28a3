"""Nothing of a request outlives it, on the loops that serve: by reference counting, the cyclic collector is off."""

from collections.abc import Callable

import pytest
from websockets.sync.client import connect

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.wait import until
from tests.kit.web import get

Doors = Callable[[str], Door]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("app", ["wsgi", "asgi"])
def test_nothing_of_a_request_outlives_it(app: str, loop: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(f"released:{app}", "--event-loop", loop, binds=[door])
    server.may_log_tracebacks = True

    for path in ("/ok", "/raise", "/file", "/slow"):
        get(door, path)
        get(door, "/read", "POST", b"x" * 3_000_000)
    for path in ("/late", "/stream", "/watch", "/slow"):
        with door.connect() as client:  # and leave
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            if path != "/slow":
                client.recv(100)
    if app == "asgi":
        assert isinstance(door.address, tuple)
        url = f"ws://127.0.0.1:{door.address[1]}"
        for _ in range(3):
            with connect(f"{url}/chat") as socket:
                socket.send("hello")
                assert socket.recv() == "hello"
        with connect(f"{url}/pour") as socket:
            assert socket.recv() == "x"

    until(lambda: get(door, "/alive").text == "0", what="that all that requests held is gone")
