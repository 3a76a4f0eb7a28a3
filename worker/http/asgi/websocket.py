"""A WebSocket for an ASGI application: one call of it, with messages of text and bytes in between (ASGI 2.4).

It takes over the transport of an HTTP connection whose request asked for it; `Frames` speaks the protocol. Pings find
peers that are gone; a drain says goodbye with 1012, so that clients come back to another worker. One peer's frames are
worked on for `TURN` at a time, and not at all while the application has enough to read.
Can go wrong: the peer breaks the protocol (closed with the code that says so), sends a message that is too big (1009)
or more than this process can hold for applications that do not read (1013), or vanishes (`websocket.disconnect` with
1006, and `send` raises `OSError`).
"""

import asyncio
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from forkful.handlers.asgi import VERSIONS, Message, Scope
from forkful.worker.eventloop.flight import Flight
from forkful.worker.http import clock, response
from forkful.worker.http.access_log import LEFT, request_line
from forkful.worker.http.asgi.call import Call, is_about_client, status_line
from forkful.worker.http.asgi.frames import Frames, Said
from forkful.worker.http.asgi.handshake import Handshake
from forkful.worker.http.asgi.inbox import Inbox
from forkful.worker.http.outgoing import Outgoing
from forkful.worker.http.wire import CLOSED
from forkful.worker.ipc.scoreboard import ERROR, REFUSED, RESET

if TYPE_CHECKING:
    from forkful.worker.http.asgi.call import Spawner
    from forkful.worker.http.http1 import HttpConnection
    from forkful.worker.http.request import Request

AHEAD: Final = 65_536  # bytes of messages that may wait for the application before we stop reading
TOGETHER: Final = 64 * 1024 * 1024  # that all the WebSockets of a process may hold for applications that do not read
SLICE: Final = 4096  # bytes that are looked at in one go; compressed, they may become a thousand times as many
TURN: Final = 5_000_000  # ns that one peer's frames may take before others have their turn
TURNS: Final = 16  # messages of the application's that may go without a turn for others
_SECOND: Final = 1_000_000_000
_NORMAL, _ABNORMAL, _INTERNAL, _RESTART, _LATER = 1000, 1006, 1011, 1012, 1013


class WebSocket(Outgoing, Flight):
    """One WebSocket and the call of the application that serves it."""

    def __init__(
        self,
        connection: "HttpConnection",
        service: "Spawner",
        scope: Scope,
        request: "Request",
    ) -> None:
        super().__init__(service, connection.accepted)
        self._call = Call(connection, service, request, scope)  # what the log says of it
        self._scope = scope
        self._connection = connection
        self._handshake = Handshake(scope["headers"])
        self.service: Spawner = service
        self.transport = connection.transport
        self.received, self.sent, self.accounted = connection.received, connection.sent, connection.accounted
        self.since = monotonic_ns()
        self.stalled = connection.stalled
        self.task: asyncio.Task[None] | None = None
        self._frames: Frames | None = None  # once it is open
        self._inbox = Inbox(service.loop, {"type": "websocket.connect"})
        self._held = 0  # of ours in what `service` holds
        self._pending = bytearray()  # bytes of the peer's that nobody has looked at
        self._deferred = False  # a turn of ours is due
        self._paused = connection.paused
        self._pong = b""  # the last that a peer who does not read is owed
        self._status = 0  # of the answer to the handshake
        self._chunked = False  # the application's own answer to it
        self._writer = asyncio.Event()  # the peer reads, or is gone
        self._state = "connecting"  # denying, open, closing, closed
        self._pinged = False
        self._sends = 0

    @classmethod
    def take_over(cls, connection: "HttpConnection", service: "Spawner", scope: Scope, request: "Request") -> None:
        """The request is whole and wants a WebSocket. Raises `Refused`, with nothing changed."""
        websocket = cls(connection, service, scope, request)
        scope.pop("method", None)
        scope["type"], scope["asgi"] = "websocket", VERSIONS
        scope["scheme"] = "wss" if scope["scheme"] in ("https", "wss") else "ws"
        scope["subprotocols"] = list(websocket._handshake.subprotocols)
        kept = {name: said for name, said in scope["extensions"].items() if not name.startswith("http.")}
        scope["extensions"] = kept | {"websocket.http.response": {}}  # kept: what is said of the connection
        pending = bytes(connection.pending)
        connection.pending.clear()
        connection.phase = CLOSED
        connection.stalled = False
        connection.hold()  # from here on it is the WebSocket that holds
        service.connections.discard(connection)
        service.connections.add(websocket)
        service.lasting.add(websocket)
        connection.transport.set_protocol(websocket)
        websocket.begin(pending)

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
                self.service.failed(self._connection, error, "error in", request_line(self._call))
        if self._state == "connecting":
            outcome = outcome or REFUSED
            self._deny(500 if outcome == ERROR else 403)
        elif self._state == "denying":
            self._hang_up()
        elif self._state == "open":
            self._part(_RESTART if self.service.ending else _INTERNAL if outcome == ERROR else _NORMAL)
        took = self.service.accounting.end(self, self.began, outcome, self._status)
        if self.service.access is not None:
            self.service.access.request(self._call, self._status or LEFT, self.sent, took)
        if self.task is not None:
            self.service.tasks.discard(self.task)
            self.task = None

    def __str__(self) -> str:
        return f"websocket {self._scope['path']} of {self.peer()}"

    def peer(self) -> str:
        return self._connection.peer()

    async def receive(self) -> Message:
        """What the application awaits: connect, messages, disconnect; and disconnect again, should it ask again."""
        inbox = self._inbox
        message = await inbox.take()
        if self._held:
            self._hold()
            if inbox.size <= AHEAD:
                self._work_later()
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
                self._say(message.get("bytes") or b"" if text is None else text)
            case "open", "websocket.close":
                code = message.get("code")
                self._part(_NORMAL if code is None else int(code), message.get("reason") or "")
            case _:
                raise RuntimeError(f"{kind!r} was sent while {self._state}")
        self._sends += 1
        if self.stalled:
            await self._wait_for_room()
        elif not self._sends % TURNS or self.transport.is_closing():
            await asyncio.sleep(0)  # others, and the news that the peer left, have their turn

    async def _wait_for_room(self) -> None:
        while self.stalled and self._state != "closed":
            self._writer.clear()
            await self._writer.wait()

    def _accept(self, message: Message) -> None:
        limits = self.service.limits
        answer, extensions = self._handshake.accept(
            message.get("subprotocol"), message.get("headers", ()), compression=limits.websocket_compression
        )
        self._call.answered_with(message.get("headers", ()))
        self._write(answer)
        self._frames = Frames(limits.websocket_size, extensions)
        self._state, self._status, self.since = "open", 101, monotonic_ns()
        self.service.accounting.land(self)  # from here on no deadline: it may last for days
        self._work_later()
        if self.service.draining:
            self.drain()

    def _answer(self, message: Message) -> None:
        """The application refuses with an answer of its own (extension websocket.http.response)."""
        if message["type"] == "websocket.http.response.start":
            fields = message.get("headers", ())
            self._call.answered_with(fields)
            status = message["status"]
            lines, _, self._chunked, _ = response.build(
                self.service.stamp, status_line(status), fields, -1, head_only=False, http11=True, keep=False
            )
            self._write(b"".join(lines))
            self._state, self._status = "denying", status
            return
        body, more = bytes(message.get("body", b"")), message.get("more_body", False)
        if self._chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        self._write(body)
        if not more:
            self._hang_up()

    def _deny(self, code: int) -> None:
        self._status = code
        self._write(response.simple(self.service.stamp, code))
        self._hang_up()

    def _say(self, said: Said) -> None:
        assert self._frames is not None
        frame = self._frames.frame_of(said)
        if frame:
            self._write(frame)
        else:
            self._frames.message(said)
            self._flush()

    def _part(self, code: int, reason: str = "") -> None:
        """Say goodbye, and wait a moment for the peer's."""
        assert self._frames is not None
        self._frames.close(code, reason)
        self._flush()
        self._state, self.since = "closing", monotonic_ns()
        self._tell_end(code, reason)
        self._work_later()  # the peer's goodbye may be here

    def _tell_end(self, code: int, reason: str = "") -> None:
        self._inbox.end({"type": "websocket.disconnect", "code": code, "reason": reason})

    def _hang_up(self) -> None:
        self._tell_end(_ABNORMAL)
        self._state, self.since = "closing", monotonic_ns()
        self._writer.set()
        self.transport.close()

    def drain(self) -> None:
        """The worker leaves: the client shall come back, to another."""
        if self._state == "open":
            self._part(_RESTART, "service restart")

    # -- the peer ----------------------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if data and not self.transport.is_closing():  # a goodbye may come after the end
            self.write(data)

    def _flush(self) -> None:
        assert self._frames is not None
        data, pong = self._frames.out(reads=not self.stalled)
        self._pong = pong or self._pong
        self._write(data)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._pinged = False
        frames = self._frames
        if self._state == "open" and frames is not None:
            self.since = monotonic_ns()
            if not self._pending and self._inbox.size <= AHEAD and (said := frames.single(data)) is not None:
                self._put(said)
                self._bound()
                if self._inbox.size > AHEAD or self._paused:
                    self._read_on(self._inbox.size <= AHEAD)
                return
        if self._state != "closed":
            self._pending += data
            self._work()

    def _work_later(self) -> None:
        """Go on with what is pending, not from within a call of the application's."""
        if (self._pending or self._paused) and not self._deferred:
            self._deferred = True
            self.service.loop.call_soon(self._resume)

    def _resume(self) -> None:
        self._deferred = False
        if self._state != "closed":
            self._work()

    def _work(self) -> None:
        """Look at what the peer has sent, as long as it is our turn and the application takes it."""
        frames, pending = self._frames, self._pending
        began = monotonic_ns()
        while pending and frames is not None and frames.closed is None and self._inbox.size <= AHEAD:
            if self._deferred:
                break
            data = bytes(pending[:SLICE])
            del pending[:SLICE]
            for said in frames.feed(data):
                self._put(said)
            self._flush()
            self._bound()
            if frames.closed is not None:
                self._peer_ended(frames, *frames.closed)
            elif pending and monotonic_ns() - began > TURN:
                self._work_later()
        self._read_on(len(pending) <= AHEAD and self._inbox.size <= AHEAD)

    def _read_on(self, wanted: bool) -> None:  # noqa: FBT001  # the one thing there is to say
        if wanted == self._paused and self._state != "closed":
            self._paused = not wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def _put(self, said: Said) -> None:
        if self._state != "open":
            return
        kind = "text" if isinstance(said, str) else "bytes"
        self._inbox.put({"type": "websocket.receive", kind: said}, len(said))

    def _hold(self) -> int:
        """Count what we hold for the application, alone and together with the others."""
        held = self._inbox.size + (self._frames.held if self._frames is not None else 0)
        self.service.held += held - self._held
        self._held = held
        return held

    def _bound(self) -> None:
        """Part where this process can hold no more, and a large part of it is this peer's."""
        if self._hold() > AHEAD and self.service.held > TOGETHER and self._state == "open":
            self._inbox.clear()
            self._hold()
            self._part(_LATER, "too much waits here")

    def _peer_ended(self, frames: Frames, code: int, reason: str) -> None:
        if frames.broken is not None:
            self.service.failed(self._connection, frames.broken, "error in the frames of", request_line(self._call))
        self._tell_end(code, reason)
        self._pending.clear()
        self._hang_up()

    def pause_writing(self) -> None:
        self.stalled = True

    def resume_writing(self) -> None:
        self.stalled = False
        pong, self._pong = self._pong, b""
        if self._state == "open":
            self._write(pong)
        self._writer.set()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self.stalled = False
        self._tell_end(_ABNORMAL)
        self._state = "closed"
        self._writer.set()
        self._pending.clear()
        if self._frames is not None:
            self._frames.release()
            self._frames = None
        self._hold()  # what the application may still read
        self.service.lasting.discard(self)
        self.service.closed(self)

    def overdue(self, now: int) -> int:
        """See `HttpConnection.overdue`."""
        reading = clock.reads_on(self, now) if self.stalled else 0
        return min((due for due in (reading, self._answers_on(now)) if due > 0), default=0)

    def _answers_on(self, now: int) -> int:
        """Ask a silent peer whether it is there; give up one that does not answer."""
        quiet = int(self.service.limits.websocket_ping * _SECOND)
        if self._state == "open" and quiet and self._frames is not None:
            deadline = self.since + quiet
            if now < deadline:
                return deadline
            if self._paused:  # what it says is not read, because of the application
                return now + quiet
            if self._pinged:
                self.transport.abort()
                return 0
            self._pinged, self.since = True, now
            self._frames.ping()
            self._flush()
            return now + quiet
        if self._state in ("closing", "closed"):
            if self.stalled:
                return 0
            deadline = self.since + clock.LINGER_SECONDS * _SECOND
            if now >= deadline:
                self.transport.abort()
            return deadline
        return 0
