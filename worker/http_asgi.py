"""An ASGI application behind one connection (ASGI 3, HTTP 2.4): a task for each request.

The body reaches the application as it comes, and nothing is read that the application does not ask for (one buffer's
worth ahead); what it sends waits for the client. Once the answer has begun it may last: server-sent events have no
deadline, only what comes before the first byte has.
Can go wrong: the application raises or returns without an answer: 500, or the connection is cut if half an answer is
out. The client goes away: `http.disconnect`, and `send` raises `OSError`.
"""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from forkful.handlers.asgi import VERSIONS, Application, Lifespan, Message, Scope
from forkful.worker import http_fields as fields
from forkful.worker import http_response as response
from forkful.worker.http_connection import BODY, BUSY, HttpConnection
from forkful.worker.http_door import Door
from forkful.worker.http_fields import Refused
from forkful.worker.http_proxy import origin
from forkful.worker.http_service import HttpService
from forkful.worker.scoreboard import ERROR, RESET

if TYPE_CHECKING:
    from forkful.worker.aio_ledger import Ledger
    from forkful.worker.http_access import Access
    from forkful.worker.http_limits import Limits
    from forkful.worker.http_proxy import Trust
    from forkful.worker.http_websocket import WebSocket

Headers = list[tuple[bytes, bytes]]

AHEAD: Final = 65_536  # bytes of a body that may wait for the application before we stop reading
_NAMES: Final = fields.ASGI_NAMES
_STATUS: Final = {code.value: f"{code.value} {code.phrase}" for code in HTTPStatus}


class AsgiService(HttpService):
    """Serves one ASGI application."""

    def __init__(  # noqa: PLR0913  # one place where it all meets
        self,
        loop: asyncio.AbstractEventLoop,
        ledger: "Ledger",
        limits: "Limits",
        app: Application,
        lifespan: Lifespan,
        *,
        trust: "Trust",
        access: "Access | None" = None,
    ) -> None:
        super().__init__(loop, ledger, limits, trust=trust, access=access)
        self.app = app
        self.lifespan = lifespan
        self.tasks: set[asyncio.Task[None]] = set()
        self.sockets: set[WebSocket] = set()

    def connection(self, door: Door, address: object) -> "AsgiConnection":
        return AsgiConnection(self, door, address)

    @property
    def busy(self) -> int:
        return len(self.tasks)

    def drain(self) -> None:
        super().drain()
        for websocket in tuple(self.sockets):
            websocket.drain()

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=1.0)
        await self.lifespan.shutdown()

    def spawn(self, coroutine: Any, name: str) -> "asyncio.Task[None]":  # Any: a coroutine
        """A task of the application's, which a drain waits for."""
        task: asyncio.Task[None] = self.loop.create_task(coroutine, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


class AsgiConnection(HttpConnection):
    """One client of an ASGI application."""

    __slots__ = ("_exchange", "_reusable", "client", "door", "headers", "host", "trusted")

    service: AsgiService

    def __init__(self, service: AsgiService, door: Door, address: object) -> None:
        super().__init__(service)
        self.door = door
        self.client = (str(address[0]), int(address[1])) if isinstance(address, tuple) else None
        self.trusted = service.trust.believes(self.client[0] if self.client else "")
        self.headers: Headers = []
        self.host = b""
        self._reusable = False  # `headers` are what the last head came to, checked
        self._exchange: Exchange | None = None

    # -- the request -------------------------------------------------------------------------------------------------

    def _fresh(self) -> None:
        self.headers = []
        self.host = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = _NAMES.get(name)
        if lower is None:
            lower = name.lower()
            flag = fields.FRAMING.get(lower)
            if flag:
                self._framing_field(flag, value)
            elif lower == fields.ASGI_HOST:
                if self.host:
                    raise Refused(400, "a repeated Host")
                fields.check_host(value.decode("latin-1"))
                self.host = value or b" "
        self.headers.append((lower, value))

    def _start(self, *, body: bool) -> None:
        method, target = self.method, self.target
        if target[:1] != b"/":
            target, host = fields.split_absolute(method, target)
            if host is not None:
                self.host = host
                self.headers = [(b"host", host), *(pair for pair in self.headers if pair[0] != fields.ASGI_HOST)]
        if not self.host and self.http11:
            raise Refused(400, "no Host")
        line = fields.LINES.get(b"%b %b HTTP/1.1" % (method, target)) or fields.read_target(
            method, target, remember=self.http11
        )
        self._reusable = self.http11 and target is self.target
        self._open(line, target, body=body)

    def _again(self, line: fields.Line) -> bool:
        if not self._reusable:
            return False
        self.keep = self.http11 = True
        self.method, self.target = line.method, line.target
        self.headers = self.headers.copy()
        self._open(line, line.target, body=False)
        return True

    def _open(self, line: fields.Line, target: bytes, *, body: bool) -> None:
        scope = {
            "type": "http",
            "asgi": VERSIONS,
            "http_version": "1.1" if self.http11 else "1.0",
            "server": (self.door.name, self.door.port or None),
            "client": self.client,
            "scheme": self.door.scheme,
            "root_path": "",
            "method": line.name,
            "path": line.text,
            "raw_path": target.partition(b"?")[0],
            "query_string": target.partition(b"?")[2],
            "headers": self.headers,
            "state": self.service.lifespan.state.copy(),
        }
        if self.trusted:
            self._believe(scope)
        if self.upgrade and self._is_websocket():
            self._become_websocket(scope)
            return
        exchange = self._exchange = Exchange(self, scope, body=body)
        if not body:
            self.phase = BUSY
        exchange.begin()

    def _believe(self, scope: Scope) -> None:
        """The peer is a proxy of ours: take its word for who the client is (`forwarded_allow_ips`)."""
        said = origin(
            self.service.trust,
            forwarded=self.field("forwarded"),
            for_=self.field("x-forwarded-for"),
            proto=self.field("x-forwarded-proto"),
        )
        if said.host:
            scope["client"] = (said.host, int(said.port or 0))
        if said.scheme:
            scope["scheme"] = said.scheme

    def _content(self, piece: bytes) -> None:
        if self._exchange is not None:
            self._exchange.feed(piece)

    def _end(self) -> None:
        exchange = self._exchange
        self.phase = BUSY
        if exchange is not None:
            exchange.end_of_body()

    def _invite(self) -> None:
        """Not before the application asks for the body: `Exchange.receive` does it."""
        if self._exchange is not None:
            self._exchange.uninvited = True

    def invite(self) -> None:
        super()._invite()

    def _gone(self) -> None:
        if self._exchange is not None:
            self._exchange.disconnect()

    def eof_received(self) -> bool:
        super().eof_received()
        return False  # nobody can tell it from a client that left, and applications wait to be told

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._exchange is not None:
            self._exchange.wake_sender()

    def refuse(self, code: int, why: str) -> None:
        exchange = self._exchange
        if exchange is not None and self.phase == BODY:
            exchange.disconnect()
            if exchange.started:
                self.abort()
                return
        super().refuse(code, why)

    def released(self) -> None:
        """The exchange is over: the next request may come."""
        self._exchange = None
        self.full = False
        self.answered()

    def field(self, name: str) -> str:
        wanted = name.encode()
        return ",".join(value.decode("latin-1") for key, value in self.headers if key == wanted)

    def remote(self) -> str:
        return self.client[0] if self.client else ""

    # -- WebSocket ---------------------------------------------------------------------------------------------------

    def _is_websocket(self) -> bool:
        return self.method == b"GET" and self.http11 and self.field("upgrade").lower() == "websocket"

    def _become_websocket(self, scope: Scope) -> None:
        from forkful.worker.http_websocket import WebSocket  # noqa: PLC0415  # wsproto is loaded when one comes

        WebSocket.take_over(self, scope)


class Exchange:
    """One request and its response: the `receive` and `send` of one call of the application."""

    __slots__ = (
        "_began", "_body", "_chunked", "_connection", "_declared", "_fields", "_more", "_produced", "_reader", "_scope",
        "_size", "_status", "_told", "_writer", "complete", "disconnected", "started", "task", "uninvited",
    )  # fmt: skip

    def __init__(self, connection: AsgiConnection, scope: Scope, *, body: bool) -> None:
        self._connection = connection
        self._scope = scope
        self._more = body  # of the request's body is to come
        self._body: list[bytes] = []
        self._size = 0
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._status = 0
        self._fields: Any = ()
        self._declared = -1
        self._produced = 0
        self._chunked = False
        self._began = 0
        self._told = False  # the end of the request's body
        self.started = self.complete = self.disconnected = self.uninvited = False
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        service = self._connection.service
        self._began = service.ledger.begin(self)
        if self._began >= service.stamp.until:
            service.stamp.renew(self._began)
        self.task = service.spawn(self._run(), f"{self._scope['method']} {self._scope['path']}")

    async def _run(self) -> None:
        connection = self._connection
        error: BaseException | None = None
        try:
            await connection.service.app(self._scope, self.receive, self.send)
        except BaseException as raised:  # noqa: BLE001  # an application may raise anything; the worker is unharmed
            error = raised
        if self.complete and error is None:
            return
        if self.disconnected and (error is None or _is_about_client(error)):
            self._over(RESET)
            return
        if error is None:
            what = "ended without completing its answer to" if self.started else "ended without an answer to"
            error = RuntimeError(f"the ASGI application {what} {connection.request_line()}")
        connection.service.failed(connection, error, "error in")
        if self.complete:
            return
        connection.keep = False
        if self._fields is not None and not self.disconnected:
            answer = response.simple(connection.service.stamp, 500, head_only=connection.method == b"HEAD")
            connection.sent += len(answer)
            connection.transport.write(answer)
            self._status = 500
        elif not self.disconnected:
            connection.abort()
        self._over(ERROR)

    def _over(self, outcome: int = 0) -> None:
        """The response is complete, or will never be."""
        self.complete = True
        connection = self._connection
        took = connection.service.ledger.end(self, self._began, outcome)
        if connection.service.access is not None:
            connection.service.access.request(connection, self._status or 500, self._produced, took)
        self.wake_receiver()
        if not self.disconnected:
            connection.released()

    # -- the request's body ------------------------------------------------------------------------------------------

    def feed(self, piece: bytes) -> None:
        if self.complete:
            return
        self._body.append(piece)
        self._size += len(piece)
        if self._size > AHEAD:
            self._connection.full = True
            self._connection.pause_reading()
        self.wake_receiver()

    def end_of_body(self) -> None:
        self._more = False
        self.wake_receiver()

    def disconnect(self) -> None:
        self.disconnected = True
        if not self.complete:
            self._connection.service.ledger.land(self)
        self.wake_receiver()
        self.wake_sender()

    def wake_receiver(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def wake_sender(self) -> None:
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    async def receive(self) -> Message:
        """What the application awaits: a piece of the body, or the end of the client."""
        if self.uninvited and not self.disconnected and not self.complete:
            self.uninvited = False
            self._connection.invite()
        while not (self._body or self.disconnected or self.complete or not (self._more or self._told)):
            await self._wait_for_client()
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        body = b"".join(self._body)
        self._body.clear()
        self._size, self._told = 0, not self._more
        connection = self._connection
        if connection.full:
            connection.full = False
            connection.resume_reading()
        return {"type": "http.request", "body": body, "more_body": self._more}

    async def _wait_for_client(self) -> None:
        self._reader = self._connection.service.loop.create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    # -- the response ------------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """What the application sends. Raises OSError once the client is gone."""
        if self.disconnected:
            raise ConnectionResetError("the client is gone")
        kind = message["type"]
        if kind == "http.response.body" and self.started and not self.complete:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
            if self._connection.stalled and not self.complete:
                await self._wait_for_room()
        elif kind == "http.response.start" and not self.started:
            self._status = message["status"]
            self._fields = message.get("headers", ())
            self.started = True
        else:
            raise RuntimeError(f"{kind!r} was sent when it could not be")

    async def _wait_for_room(self) -> None:
        connection = self._connection
        while connection.stalled and not self.disconnected:
            self._writer = connection.service.loop.create_future()
            try:
                await self._writer
            finally:
                self._writer = None

    def _send_body(self, body: bytes, *, more: bool) -> None:
        connection = self._connection
        lines: list[bytes] = []
        if self._fields is not None:
            lines = self._head(-1 if more or (not body and connection.method == b"HEAD") else len(body))
            if more:
                connection.service.ledger.land(self)  # an answer that has begun may last
        if self._declared >= 0:
            body = body[: self._declared - self._produced]
        self._produced += len(body)
        if self._chunked:
            if body:
                lines += [b"%x\r\n" % len(body), body, b"\r\n"]
            if not more:
                lines.append(b"0\r\n\r\n")
        elif body:
            lines.append(body)
        if lines:
            data = b"".join(lines)
            connection.sent += len(data)
            connection.transport.write(data)
        if not more:
            if self._produced < self._declared:
                raise RuntimeError(f"Content-Length is {self._declared}, but the body has {self._produced} bytes")
            self._over()

    def _head(self, known: int) -> list[bytes]:
        connection = self._connection
        status = _STATUS.get(self._status) or f"{int(self._status)} Status"
        lines, self._declared, self._chunked, connection.keep = response.build(
            connection.service.stamp,
            status,
            self._fields,
            known,
            head_only=connection.method == b"HEAD",
            http11=connection.http11,
            keep=connection.keep and not connection.service.draining,
        )
        self._fields = None
        return lines


def _is_about_client(error: BaseException | None) -> bool:
    """Whether this comes from what `send` raised: frameworks wrap it in an exception of their own."""
    while error is not None:
        if isinstance(error, OSError | asyncio.CancelledError):
            return True
        error = error.__cause__ or error.__context__
    return False
