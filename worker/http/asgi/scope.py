"""A request as ASGI has it: from a head's fields to a scope, and an `Exchange` or a WebSocket for it.

Can go wrong: what the client sent makes no sense: `Refused`.
"""

from typing import TYPE_CHECKING, Any, Final

from forkful.handlers.asgi import HTTP_VERSIONS, Scope
from forkful.worker.http import fields as fields_
from forkful.worker.http.asgi import extensions
from forkful.worker.http.asgi.call import Spawner, field_of
from forkful.worker.http.asgi.exchange import Exchange
from forkful.worker.http.fields import Refused
from forkful.worker.http.forwarded import origin
from forkful.worker.net.local_address import LocalAddress

if TYPE_CHECKING:
    from forkful.worker.http.http1 import HttpConnection
    from forkful.worker.http.request import Fields, Request

Headers = list[tuple[bytes, bytes]]

_KNOWN: Final = fields_.ASGI_FIELDS


class AsgiGateway:
    """An ASGI application behind one listener."""

    def __init__(self, service: Spawner, local: LocalAddress) -> None:
        self._service = service
        self._scheme = local.scheme
        self._is_any = local.is_any
        if local.scheme == "https":
            from forkful.worker.http import secured  # noqa: PLC0415  # others do without ssl

            self._tell = secured.extension
        self._server: tuple[str, int | None] = (local.name, local.port) if local.port else (local.path, None)

    def read_fields(self, block: bytes, fields: "Fields") -> None:
        headers: Headers = []
        fields.form = headers
        for line in block.split(b"\r\n") if block else ():
            pair = _KNOWN.get(line)
            if pair is not None:
                headers.append(pair)
                continue
            name, value, flag = fields_.read_asgi(line)
            if not name:
                continue
            headers.append((name, value))
            if not flag:
                continue
            if flag & fields_.FRAMES:
                fields.note(flag, value)
            elif flag == fields_.HOST:
                if fields.host is not None:
                    raise Refused(400, "a repeated Host")
                fields.host = value.decode("latin-1")
            elif flag == fields_.TE:
                fields.trailers = fields.trailers or extensions.takes_trailers(value)
            else:
                _note_saying(fields, name, value.decode("latin-1"))

    def open(self, connection: "HttpConnection", request: "Request") -> Exchange | None:
        """The exchange of this request; None: a WebSocket has the connection."""
        fields = request.fields
        scope = self._scope(connection, request)
        if fields.said and self._service.trust.believes(connection.host):
            self._believe(scope, fields)
        if fields.upgrade and _is_websocket(request):
            if fields.body:  # it would have to be read first (RFC 9110 section 7.8), and would pass for frames
                raise Refused(400, "a WebSocket handshake with a body")
            from forkful.worker.http.asgi.websocket import (  # noqa: PLC0415  # websockets is loaded when one comes
                WebSocket,
            )

            WebSocket.take_over(connection, self._service, scope, request)
            return None
        return Exchange(connection, self._service, request, scope)

    def _scope(self, connection: "HttpConnection", request: "Request") -> Scope:
        fields, line = request.fields, request.line
        headers: Headers = fields.form.copy() if fields.shared else fields.form
        if request.named:
            host = b"host", request.named.encode("latin-1")
            headers = [host, *(pair for pair in headers if pair[0] != b"host")]
        path, _, query = (request.target if not request.named else line.raw.encode("latin-1")).partition(b"?")
        server, scheme = self._server, self._scheme
        offered: dict[str, dict[str, Any]] = extensions.offered(request)
        accepted = connection.accepted
        if accepted is not None and accepted.tls is not None:
            offered["tls"] = connection.secured(self._tell)
        if self._is_any or (accepted is not None and accepted.says_local):
            server = connection.local() or server
        if accepted is not None and accepted.proxy_header is not None:
            offered["proxy_protocol"] = {"header": accepted.proxy_header}
            scheme = "https" if accepted.proxy_header.is_tls else scheme
        return {
            "type": "http",
            "asgi": HTTP_VERSIONS,
            "http_version": "1.1" if fields.http11 else "1.0",
            "server": server,
            "client": (connection.host, int(connection.port)) if connection.host else None,
            "scheme": scheme,
            "root_path": "",
            "method": line.name,
            "path": line.text,
            "raw_path": path,
            "query_string": query,
            "headers": headers,
            "extensions": offered,
            "state": self._service.lifespan.state.copy(),
        }

    def _believe(self, scope: Scope, fields: "Fields") -> None:
        """The peer is a proxy of ours: take its word for who the client is (`forwarded_allow_ips`)."""
        said = fields.origin
        if said is None:
            said = fields.origin = origin(
                self._service.trust,
                forwarded=fields.sayings.get(b"forwarded", ""),
                for_=fields.sayings.get(b"x-forwarded-for", ""),
                proto=fields.sayings.get(b"x-forwarded-proto", ""),
            )
        if said.host:
            scope["client"] = (said.host, int(said.port or 0))
        if said.scheme:
            scope["scheme"] = said.scheme


def _note_saying(fields: "Fields", name: bytes, value: str) -> None:
    """What a proxy says of the client, several lines joined (RFC 9110 section 5.3)."""
    if not fields.said:
        fields.said, fields.sayings = True, {}
    before = fields.sayings.get(name)
    fields.sayings[name] = value if before is None else f"{before},{value}"


def _is_websocket(request: "Request") -> bool:
    wanted = request.line.method == b"GET" and request.fields.http11
    return wanted and field_of(request, "upgrade").lower() == "websocket"
