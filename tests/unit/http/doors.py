"""The two doors of HTTP, WSGI's and ASGI's, without sockets: each says what its application saw of what a client said.

Can go wrong: nothing here; what the connection raises comes out.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self

from forkful.handlers.asgi import Application, Lifespan, Message, Receive, Scope, Send
from forkful.handlers.wsgi import Environ, StartResponse
from forkful.worker.aio_ledger import Ledger
from forkful.worker.http_asgi_service import AsgiService
from forkful.worker.http_door import Door
from forkful.worker.http_limits import Limits
from forkful.worker.http_proxy import NOBODY
from forkful.worker.scoreboard import CELLS
from tests.unit.http.wire import Client, FakeTransport

LIMITS = Limits(body=1_000_000)


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as an application saw it; `fields` as WSGI has them, or as ASGI does."""

    method: str
    target: str
    body: bytes
    fields: tuple[tuple[str, str], ...]
    kind: str = "http"


def pieces_for(path: str) -> list[bytes]:
    """The answer's body: one piece, none, or several, so that each way of framing is met."""
    return [[b"one"], [], [b"two", b"", b"three"]][len(path) % 3]


class Spoken(Protocol):
    """One connection that a client speaks on."""

    seen: list[Seen]

    @property
    def transport(self) -> FakeTransport: ...

    @property
    def connection(self) -> Any: ...  # Any: a Wire, or what took over from it

    def hear(self, piece: bytes) -> None: ...

    def settle(self) -> None: ...

    def connect(self) -> None: ...


class WsgiDoor:
    """Connections to one WSGI service, one after the other."""

    def __init__(self, *, slow: bool = False) -> None:
        self.seen: list[Seen] = []
        self._client = Client(self._app, limits=LIMITS, slow=slow)

    def _app(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        fields = {key: value for key, value in environ.items() if key.startswith(("HTTP_", "CONTENT_"))}
        self.seen.append(Seen(environ["REQUEST_METHOD"], environ["RAW_URI"], body, tuple(sorted(fields.items()))))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces_for(environ["PATH_INFO"])

    @property
    def connection(self) -> Any:  # Any: as `Spoken`
        return self._client.connection

    @property
    def transport(self) -> FakeTransport:
        return self._client.transport

    def connect(self) -> None:
        self.seen = []
        self._client.connect(("192.0.2.7", 4711))

    def hear(self, piece: bytes) -> None:
        self._client.connection.data_received(piece)

    def settle(self) -> None:
        while self._client.loop.soon:
            self._client.loop.turn()


class Switching(FakeTransport):
    """A transport whose protocol may change."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.connection = protocol


class AsgiDoor:
    """Connections to one ASGI service, on a real loop that turns when it is asked to; `app`: another than ours."""

    def __init__(self, app: Application | None = None, *, slow: bool = False) -> None:
        self.seen: list[Seen] = []
        self._slow = slow
        self.loop = asyncio.new_event_loop()
        row: memoryview[int] = memoryview(bytearray(CELLS * 8)).cast("Q")
        app = app or self._app
        self.row = row
        lifespan = Lifespan(app, self.loop)
        self.service = AsgiService(self.loop, Ledger(row, self.loop), LIMITS, app, lifespan, trust=NOBODY)
        self._make = self.service.maker(Door("server.test", 8000))
        self.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for task in self.service.tasks:
            task.cancel()
        self.settle()
        self.loop.close()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        if scope["type"] == "websocket":
            self.seen.append(Seen("GET", target.decode("latin-1"), b"", fields, "websocket"))
            await _chat(receive, send)
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.seen.append(Seen(scope["method"], target.decode("latin-1"), body, fields))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        for piece in pieces_for(scope["path"]):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    @property
    def connection(self) -> Any:  # Any: as `Spoken`
        return self.transport.connection

    def connect(self) -> None:
        self.seen = []
        self.transport = Switching(slow=self._slow, address=("192.0.2.7", 4711))
        self.transport.connection = connection = self._make()
        connection.connection_made(self.transport)

    def hear(self, piece: bytes) -> None:
        self.transport.connection.data_received(piece)

    def settle(self) -> None:
        """Turn the loop until what is ready is done."""
        for _ in range(12):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()


async def _chat(receive: Receive, send: Send) -> None:
    """A WebSocket's echo."""
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message: Message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
