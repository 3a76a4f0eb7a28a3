"""Where a request came in: at the listener, at the connection where that is every interface's, or as a step said."""

import socket
from typing import Any

import pytest

from forkful.handlers.asgi import Receive, Scope, Send
from forkful.handlers.wsgi import Environ, StartResponse
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.local_address import LocalAddress
from tests.unit.worker.http.doors import AsgiDoor
from tests.unit.worker.http.wire import Client

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CASES = [
    ("192.0.2.1", None, ("192.0.2.1", 80)),
    ("0.0.0.0", None, ("198.51.100.7", 81)),
    ("::", None, ("198.51.100.7", 81)),
    ("192.0.2.1", ("203.0.113.9", 443), ("203.0.113.9", 443)),
]


def accepted(named: Any) -> Accepted | None:
    if named is None:
        return None
    record = Accepted(socket.socket(), ("192.0.2.7", 4711), 0)
    record.sock.close()
    record.local = named
    return record


def knows(monkeypatch: pytest.MonkeyPatch, transport: Any) -> None:
    known = {"sockname": ("198.51.100.7", 81), "peername": ("192.0.2.7", 4711)}
    monkeypatch.setattr(transport, "get_extra_info", known.get)


@pytest.mark.parametrize(("listener", "named", "told"), CASES)
def test_wsgi(listener: str, named: Any, told: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.append((environ["SERVER_NAME"], int(environ["SERVER_PORT"])))
        start_response("200 OK", [])
        return []

    client = Client(app)
    client.make = client.service.maker(LocalAddress(listener, 80))
    client.connect(("192.0.2.7", 4711))
    knows(monkeypatch, client.transport)
    client.connection.accepted = accepted(named)
    client.say(GET, GET)
    assert seen == [told, told]


@pytest.mark.parametrize(("listener", "named", "told"), CASES)
def test_asgi(listener: str, named: Any, told: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        seen.append(scope["server"])
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    with AsgiDoor(app) as door:
        door._make = door.service.maker(LocalAddress(listener, 80))  # ours
        door.connect()
        knows(monkeypatch, door.transport)
        door.connection.accepted = accepted(named)
        for _ in range(2):
            door.hear(GET)
            door.settle()
    assert seen == [told, told]
