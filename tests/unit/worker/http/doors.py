"""The doors of HTTP, WSGI's and ASGI's, without sockets: each says what its application saw of what a client said.

What the connection raises comes out.
"""

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from forkful.handlers.asgi import Application, Lifespan, Message, Receive, Scope, Send
from forkful.handlers.wsgi import Environ, StartResponse
from forkful.worker.eventloop.accounting import Accounting
from forkful.worker.http.access_log import Access
from forkful.worker.http.asgi.service import AsgiService
from forkful.worker.http.limits import Limits
from forkful.worker.http.wire import Subject
from forkful.worker.ipc.scoreboard import CELLS
from forkful.worker.net.local_address import LocalAddress
from forkful.worker.net.trust import Trust
from tests.unit.worker.http.wire import Client, FakeTransport

if TYPE_CHECKING:
    from collections import deque

LIMITS = Limits(body=1_000_000)
TRUST = Trust.parse(["192.0.2.0/24"])  # so that the fields of proxies are read as well


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as an application saw it; `fields` as WSGI has them, or as ASGI does."""

    method: str
    target: str
    body: bytes
    fields: tuple[tuple[str, str], ...]
    kind: str = "http"


def pieces_for(target: str) -> list[bytes]:
    """The answer's body: one piece, none, or several, so that each way of framing is met."""
    return [[b"one"], [], [b"two", b"", b"three"]][len(target.partition("?")[0]) % 3]


class Last(Access):
    """An access log that knows the method of the last request that it was told of."""

    method = b""

    def __init__(self) -> None: ...

    def request(self, subject: Subject, status: int, length: int, took_ns: int) -> None:
        self.method = subject.method


class Spoken(Protocol):
    """One connection that a client speaks on."""

    last: Last

    seen: list[Seen]
    row: "memoryview[int]"

    @property
    def transport(self) -> FakeTransport: ...

    @property
    def connection(self) -> Any: ...  # Any: a connection, or what took over from it

    def hear(self, piece: bytes) -> None: ...

    def settle(self) -> None: ...

    def connect(self) -> None: ...


class WsgiDoor:
    """Connections to one WSGI service, one after the other."""

    def __init__(self, *, slow: bool = False, limits: Limits = LIMITS) -> None:
        self.seen: list[Seen] = []
        self.last = Last()
        self._client = Client(self._app, limits=limits, slow=slow, trust="192.0.2.0/24", access=self.last)
        self.row = self._client.row

    def _app(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        fields = {key: value for key, value in environ.items() if key.startswith(("HTTP_", "CONTENT_"))}
        self.seen.append(Seen(environ["REQUEST_METHOD"], environ["RAW_URI"], body, tuple(sorted(fields.items()))))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces_for(environ["RAW_URI"])

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
        self._client.settle()


class Switching(FakeTransport):
    """A transport whose protocol may change."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.connection = protocol


class AsgiDoor:
    """Connections to one ASGI service, on a real loop that turns when it is asked to; `app`: another than ours."""

    def __init__(
        self, app: Application | None = None, *, slow: bool = False, limits: Limits = LIMITS, trust: Trust = TRUST
    ) -> None:
        self.seen: list[Seen] = []
        self._slow = slow
        self.loop = asyncio.new_event_loop()
        row: memoryview[int] = memoryview(bytearray(CELLS * 8)).cast("Q")
        app = app or self._app
        self.row = row
        lifespan = Lifespan(app, self.loop)
        self.last = Last()
        accounting = Accounting(row, self.loop)
        self.service = AsgiService(self.loop, accounting, limits, app, lifespan, trust=trust, access=self.last)
        self._make = self.service.maker(LocalAddress("server.test", 8000))
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
        *pieces, last = pieces_for(target.decode("latin-1")) or [b""]
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": last})

    @property
    def connection(self) -> Any:  # Any: as `Spoken`
        return self.transport.connection

    def connect(self) -> None:
        self.seen = []
        self.transport = Switching(slow=self._slow, address=("192.0.2.7", 4711))
        self.transport.connection = connection = self._make()
        connection.connection_made(self.transport)

    def hear(self, piece: bytes) -> None:
        """As within a turn of the loop, where tasks may begin at once (3.12), and without what else is ready."""
        self.loop._thread_id = threading.get_ident()  # type: ignore[attr-defined]  # noqa: SLF001  # it is running
        asyncio._set_running_loop(self.loop)  # noqa: SLF001  # named in asyncio's documentation
        try:
            self.transport.connection.data_received(piece)
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001
            self.loop._thread_id = None  # type: ignore[attr-defined]  # noqa: SLF001

    def settle(self) -> None:
        """LoopWorker the loop until what is ready is done."""
        ready: deque[object] = self.loop._ready  # type: ignore[attr-defined]  # noqa: SLF001  # nothing else tells
        self.loop.call_soon(self.loop.stop)
        while ready:
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
