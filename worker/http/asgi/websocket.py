"""A WebSocket (RFC 6455) for an ASGI application, spoken by wsproto.

It takes over the transport of an HTTP connection whose request asked for it. Pings find peers that are gone; a drain
says goodbye with 1012, so that clients come back to another worker.
Can go wrong: the peer breaks the protocol (closed with the code that says so), sends a message beyond `MESSAGE`
(1009), or vanishes (`websocket.disconnect` with 1006, and `send` raises `OSError`).
"""

import asyncio
from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

from wsproto import ConnectionType, WSConnection, events
from wsproto.connection import ConnectionState
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from forkful.handlers.asgi import Message, Scope
from forkful.worker.http.access_log import LEFT, request_line
from forkful.worker.http.asgi.exchange import Call, is_about_client
from forkful.worker.http.clock import LINGER_SECONDS, READ_SECONDS
from forkful.worker.http.fields import Refused
from forkful.worker.http.wire import CLOSED
from forkful.worker.ipc.scoreboard import ERROR, REFUSED, RESET

if TYPE_CHECKING:
    from forkful.worker.http.asgi.exchange import Spawner
    from forkful.worker.http.http1 import HttpConnection
    from forkful.worker.http.request import Request

MESSAGE: Final = 16 * 1024 * 1024  # bytes of one message
AHEAD: Final = 65_536  # bytes of messages that may wait for the application before we stop reading
ENTRY: Final = 256  # what a message costs beside its bytes: an empty one is not free
SLICE: Final = 16_384  # bytes that are looked at in one go; compressed, they may become a thousand times as many
QUIET: Final = 20  # seconds of silence until we ask whether the peer is there, and until we stop believing it
_SECOND: Final = 1_000_000_000
_RESTART, _ABNORMAL, _NO_CODE, _TOO_BIG, _INTERNAL = 1012, 1006, 1005, 1009, 1011


class Deflate(PerMessageDeflate):
    """An offer that makes no sense is declined (RFC 7692 section 7), and is no fault of the application's."""

    def accept(self, offer: str) -> bool | str | None:
        try:
            return super().accept(offer)
        except ValueError:
            return None


class WebSocket(asyncio.Protocol, Call):
    """One WebSocket and the call of the application that serves it."""

    def __init__(self, connection: "HttpConnection", service: "Spawner", scope: Scope, request: "Request") -> None:
        super().__init__(connection, service, request, scope)
        self.service = service
        self.transport = connection.transport
        self.received, self.sent, self.accounted = connection.received, connection.sent, connection.accounted
        self.since = monotonic_ns()
        self.stalled = connection.stalled
        self.task: asyncio.Task[None] | None = None
        self._ws = WSConnection(ConnectionType.SERVER)
        self._inbox: deque[tuple[Message, int]] = deque([({"type": "websocket.connect"}, 0)])
        self._waiting_bytes = 0
        self._parts: list[Any] = []  # str or bytes of a message that is not whole
        self._parts_size = 0
        self._early = b""  # frames of a peer that did not wait for our answer to its handshake
        self._ping: events.Ping | None = None  # the last that a peer who does not read has sent
        self._goodbye: Message | None = None  # the last that the application is told
        self._status = 0  # of the answer to the handshake
        self._reader = asyncio.Event()  # something is in the inbox; several tasks of one call may wait
        self._writer = asyncio.Event()  # the peer reads, or is gone
        self._state = "connecting"  # denying, open, closing, closed
        self._pinged = False

    @classmethod
    def take_over(cls, connection: "HttpConnection", service: "Spawner", scope: Scope, request: "Request") -> None:
        """The request is whole and wants a WebSocket. Raises `Refused`, with nothing changed."""
        websocket = cls(connection, service, scope, request)
        websocket.shake_hands()
        pending = bytes(connection.pending)
        connection.pending.clear()
        connection.phase = CLOSED
        service.connections.discard(connection)
        service.connections.add(websocket)
        service.sockets.add(websocket)
        connection.transport.set_protocol(websocket)
        websocket.begin(pending)

    def shake_hands(self) -> None:
        scope = self._scope
        raw = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        try:
            self._ws.initiate_upgrade_connection(scope["headers"], raw.decode("latin-1"))
            request = next(self._ws.events())
        except (RemoteProtocolError, LocalProtocolError, StopIteration, UnicodeError) as error:
            raise Refused(400, f"not a WebSocket handshake: {error}") from error
        scope.pop("method", None)
        scope["type"] = "websocket"
        scope["scheme"] = "wss" if scope["scheme"] in ("https", "wss") else "ws"
        scope["subprotocols"] = list(getattr(request, "subprotocols", ()))
        scope["extensions"] = {"websocket.http.response": {}}

    def begin(self, pending: bytes) -> None:
        self.began = self.service.accounting.begin(self)
        self.task = self.service.spawn(self._run())
        if pending:
            self.data_received(pending)

    # -- the application ---------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        outcome = 0
        try:
            await self.service.app(self._scope, self.receive, self.send)
        except BaseException as error:  # noqa: BLE001  # an application may raise anything; the worker is unharmed
            gone = self._state in ("closing", "closed") and is_about_client(error)
            outcome = RESET if gone else ERROR
            if not gone and not self.service.ending:
                self.service.failed(self._connection, error, "error in", request_line(self))
        if self._state == "connecting":
            outcome = outcome or REFUSED
            self._deny(500 if outcome == ERROR else 403)
        elif self._state == "denying":
            self._connection.keep = False
            self._hang_up()
        elif self._state == "open":
            self._say_goodbye(_RESTART if self.service.ending else _INTERNAL if outcome == ERROR else 1000, "")
        took = self.service.accounting.end(self, self.began, outcome, self._status)
        if self.service.access is not None:
            self.service.access.request(self, self._status or LEFT, self.sent, took)
        if self.task is not None:
            self.service.tasks.discard(self.task)

    def __str__(self) -> str:
        return f"websocket {self._scope['path']} of {self.peer()}"

    def peer(self) -> str:
        return self._connection.peer()

    async def receive(self) -> Message:
        """What the application awaits: connect, messages, disconnect; and disconnect again, should it ask again."""
        while not self._inbox:
            if self._goodbye is not None:
                return {**self._goodbye}
            self._reader.clear()
            await self._reader.wait()
        message, size = self._inbox.popleft()
        self._waiting_bytes -= size
        if size and self._waiting_bytes <= AHEAD and self._state != "closed":
            self.transport.resume_reading()
        return message

    async def send(self, message: Message) -> None:
        """What the application sends. Raises OSError once the peer is gone."""
        kind = message["type"]
        if self._state in ("closed", "closing"):
            if kind == "websocket.close":
                return
            raise ConnectionResetError("the WebSocket is closed")
        match self._state, kind:
            case "connecting", "websocket.accept":
                self._accept(message)
            case "connecting", "websocket.close":
                self._deny(403)
            case ("connecting", "websocket.http.response.start") | ("denying", "websocket.http.response.body"):
                self._answer(message)
            case "open", "websocket.send":
                text = message.get("text")
                data = message.get("bytes") if text is None else text
                self._write(events.Message(data=b"" if data is None else data))
            case "open", "websocket.close":
                self._say_goodbye(message.get("code", 1000) or 1000, message.get("reason") or "")
            case _:
                raise RuntimeError(f"{kind!r} was sent while {self._state}")
        await self._wait_for_room()

    async def _wait_for_room(self) -> None:
        while self.stalled and self._state != "closed":
            self._writer.clear()
            await self._writer.wait()

    def _accept(self, message: Message) -> None:
        self._write(
            events.AcceptConnection(
                subprotocol=message.get("subprotocol"),
                extra_headers=[(bytes(name), bytes(value)) for name, value in message.get("headers", ())],
                extensions=[Deflate()],
            )
        )
        self._state, self._status = "open", 101
        self.service.accounting.land(self)  # from here on no deadline: it may last for days
        if self._early:
            early, self._early = self._early, b""
            self.transport.resume_reading()
            self._take(early)
        if self.service.draining:
            self.drain()

    def _answer(self, message: Message) -> None:
        """The application refuses with an answer of its own (extension websocket.http.response)."""
        if message["type"] == "websocket.http.response.start":
            headers = list(message.get("headers", ()))
            self._write(events.RejectConnection(status_code=message["status"], headers=headers, has_body=True))
            self._state, self._status = "denying", message["status"]
            return
        more = message.get("more_body", False)
        self._write(events.RejectData(data=message.get("body", b""), body_finished=not more))
        if not more:
            self._hang_up()

    def _deny(self, code: int) -> None:
        self._status = code
        self._write(events.RejectConnection(status_code=code, headers=[(b"content-length", b"0")]))
        self._hang_up()

    def _say_goodbye(self, code: int, reason: str) -> None:
        self._write(events.CloseConnection(code=code, reason=reason or None))
        self._state, self.since = "closing", monotonic_ns()
        self._part_from_application(code, reason)

    def _part_from_application(self, code: int, reason: str = "") -> None:
        if self._goodbye is None:
            self._goodbye = {"type": "websocket.disconnect", "code": int(code), "reason": reason}
            self._reader.set()

    def _hang_up(self) -> None:
        self._part_from_application(_ABNORMAL)
        self._state, self.since = "closing", monotonic_ns()
        self.transport.close()

    def drain(self) -> None:
        """The worker leaves: the client shall come back, to another."""
        if self._state == "open":
            self._say_goodbye(_RESTART, "service restart")

    # -- the peer ----------------------------------------------------------------------------------------------------

    def _write(self, event: events.Event) -> None:
        data = self._ws.send(event)
        self.sent += len(data)
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._pinged = False
        match self._state:
            case "connecting":  # RFC 6455 section 4.1 has the client wait
                self._early += data
                if len(self._early) > AHEAD:
                    self.transport.pause_reading()
            case "open":
                self.since = monotonic_ns()
                self._take(data)
            case "closing":
                self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            for at in range(0, len(data), SLICE):
                if self._ws.state is ConnectionState.CLOSED:
                    return
                self._ws.receive_data(data[at : at + SLICE])
                for event in self._ws.events():
                    self._handle(event)
        except RemoteProtocolError as error:
            if self._ws.state is ConnectionState.OPEN and error.event_hint is not None:
                self._write(error.event_hint)
            self._lost(1002)
            self._hang_up()

    def _handle(self, event: events.Event) -> None:
        match event:
            case events.TextMessage() | events.BytesMessage():
                self._part(event)
            case events.Ping() if self.stalled:  # RFC 6455 section 5.5.3: only the last need be answered
                self._ping = event
            case events.Ping():
                self._write(event.response())
            case events.CloseConnection():
                if self._state == "open":
                    self._write(event.response())
                self._lost(event.code or _NO_CODE, event.reason or "")
                self._hang_up()
            case _:
                return

    def _part(self, event: "events.TextMessage | events.BytesMessage") -> None:
        if self._state != "open":
            return
        if event.data:
            self._parts.append(event.data)
            self._parts_size += len(event.data)
        if self._parts_size > MESSAGE:
            self._parts.clear()
            self._say_goodbye(_TOO_BIG, "message too big")
            return
        if not event.message_finished:
            return
        size, self._parts_size = self._parts_size, 0
        if isinstance(event, events.TextMessage):
            message: Message = {"type": "websocket.receive", "text": "".join(self._parts)}
        else:
            message = {"type": "websocket.receive", "bytes": b"".join(self._parts)}
        self._parts.clear()
        self._put(message, size + ENTRY)
        if self._waiting_bytes > AHEAD:
            self.transport.pause_reading()

    def _put(self, message: Message, size: int) -> None:
        self._inbox.append((message, size))
        self._waiting_bytes += size
        self._reader.set()

    def _lost(self, code: int, reason: str = "") -> None:
        self._part_from_application(code, reason)
        self._state = "closed"
        self._writer.set()

    def pause_writing(self) -> None:
        self.stalled = True

    def resume_writing(self) -> None:
        self.stalled = False
        if self._ping is not None and self._state == "open":
            self._write(self._ping.response())
        self._ping = None
        self._writer.set()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self.stalled = False
        self._lost(_ABNORMAL)
        self.service.sockets.discard(self)
        self.service.closed(self)

    def overdue(self, now: int) -> int:
        """Ask a silent peer whether it is there; give up one that does not answer. See `HttpConnection.overdue`."""
        if self._state == "open":
            deadline = self.since + QUIET * _SECOND
            if now < deadline:
                return deadline
            if self._pinged:
                self.transport.abort()
                return 0
            self._pinged, self.since = True, now
            self._write(events.Ping())
            return now + QUIET * _SECOND
        if self._state in ("closing", "closed"):
            deadline = self.since + (READ_SECONDS if self.stalled else LINGER_SECONDS) * _SECOND
            if now >= deadline:
                self.transport.abort()
            return deadline
        return 0
