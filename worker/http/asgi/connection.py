"""One client of an ASGI application: from a head's fields to a scope, an `Exchange` or a WebSocket for each.

Can go wrong: what the client sent makes no sense: `Refused`.
"""

import asyncio
from typing import Final

from forkful.handlers.asgi import VERSIONS, Scope
from forkful.worker.http import fields
from forkful.worker.http.asgi.exchange import Exchange, Line, Spawner
from forkful.worker.http.fields import Refused
from forkful.worker.http.forwarded import origin
from forkful.worker.http.http1 import HttpConnection
from forkful.worker.http.wire import BODY, BUSY
from forkful.worker.net.local_address import LocalAddress

Headers = list[tuple[bytes, bytes]]

_KNOWN: Final = fields.ASGI_FIELDS


class AsgiConnection(HttpConnection, Line):
    """One client of an ASGI application."""

    __slots__ = (
        "_exchange",
        "_known",
        "_known_line",
        "_reusable",
        "_said",
        "client",
        "headers",
        "host",
        "local",
        "trusted",
    )

    service: Spawner

    def __init__(self, service: Spawner, local: LocalAddress) -> None:
        super().__init__(service)
        self.local = local
        self.client: tuple[str, int] | None = None
        self.trusted = False
        self.headers: Headers = []
        self.host = b""
        self._said = False  # a proxy says something of the client
        self._reusable = False  # `headers` are what the last head came to, checked
        self._known: Scope = {}  # what `_known_line` and the fields of the last head came to
        self._known_line: fields.Line | None = None
        self._exchange: Exchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        address = transport.get_extra_info("peername")
        if isinstance(address, tuple):
            self.client = address[0], address[1]
        self.trusted = self.service.trust.believes(self.client[0] if self.client else "")

    # -- the request -------------------------------------------------------------------------------------------------

    def _read_fields(self, block: bytes) -> None:
        headers = self.headers = []
        self.host = b""
        self._said = False
        for line in block.split(b"\r\n") if block else ():
            pair = _KNOWN.get(line)
            if pair is not None:
                headers.append(pair)
                continue
            name, value, flag = fields.read_asgi(line)
            if not name:
                continue
            headers.append((name, value))
            if flag:
                self._framing_field(flag, value)
            elif name == fields.ASGI_HOST:
                if self.host:
                    raise Refused(400, "a repeated Host")
                fields.check_host(value.decode("latin-1"))
                self.host = value or b" "
            elif name in fields.ASGI_SAYINGS:
                self._said = True

    def _start(self, *, body: bool) -> None:
        method, target = self.method, self.target
        if not self.host and self.http11:
            raise Refused(400, "no Host")
        if target[:1] != b"/":
            target, named = fields.split_absolute(method, target)
            if named is not None:
                host = b"host", named.encode("latin-1")
                self.headers = [host, *(pair for pair in self.headers if pair[0] != fields.ASGI_HOST)]
        line = self.line or fields.read_target(method, target, remember=self.http11 and target is self.target)
        self._reusable, self._known_line = self.http11 and target is self.target, None
        self._open(self._scope(line, target), body=body)

    def _again(self, line: fields.Line) -> bool:
        if not self._reusable:
            return False
        self.keep = self.http11 = True
        self.method, self.target = line.method, line.target
        if line is not self._known_line:
            self._known, self._known_line = self._scope(line, line.target), line
        self._open({**self._known}, body=False)
        return True

    def _scope(self, line: fields.Line, target: bytes) -> Scope:
        """Without what is the application's own to change."""
        path, _, query = target.partition(b"?")
        return {
            "type": "http",
            "asgi": VERSIONS,
            "http_version": "1.1" if self.http11 else "1.0",
            "server": (self.local.name, self.local.port) if self.local.port else (self.local.path, None),
            "client": self.client,
            "scheme": self.local.scheme,
            "root_path": "",
            "method": line.name,
            "path": line.text,
            "raw_path": path,
            "query_string": query,
        }

    def _open(self, scope: Scope, *, body: bool) -> None:
        scope["headers"] = self.headers.copy()
        scope["state"] = self.service.lifespan.state.copy()
        if self._said and self.trusted:
            self._believe(scope)
        if self.upgrade and self._is_websocket():
            if body:  # it would have to be read first (RFC 9110 section 7.8), and would pass for frames
                raise Refused(400, "a WebSocket handshake with a body")
            self._become_websocket(scope)
            return
        exchange = self._exchange = Exchange(self, scope, body=body)
        if self._eof:
            exchange.left = True
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

    def _gone(self, before: int) -> None:  # noqa: ARG002
        if self._exchange is not None:
            self._exchange.disconnect()

    def eof_received(self) -> bool:
        """The client has left, or wants its answer and nothing more: nobody can tell."""
        goes_on = super().eof_received()
        if self._exchange is None or self.phase != BUSY:
            return goes_on
        self._exchange.hang_up()
        return True

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
        self._exchange = None
        self.full = False
        self.answered()

    def field(self, name: str) -> str:
        wanted = name.lower().encode()
        return ",".join(value.decode("latin-1") for key, value in self.headers if key == wanted)

    def answer_field(self, name: str) -> str:
        return self._exchange.answer_field(name) if self._exchange is not None else ""

    def remote(self) -> str:
        return self.client[0] if self.client else ""

    # -- WebSocket ---------------------------------------------------------------------------------------------------

    def _is_websocket(self) -> bool:
        return self.method == b"GET" and self.http11 and self.field("upgrade").lower() == "websocket"

    def _become_websocket(self, scope: Scope) -> None:
        from forkful.worker.http.asgi.websocket import WebSocket  # noqa: PLC0415  # wsproto is loaded when one comes

        WebSocket.take_over(self, scope)
