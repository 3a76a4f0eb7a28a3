"""A request as WSGI has it: from a head's fields to an environ (PEP 3333).

Can go wrong: what the client sent makes no sense: `Refused`.
"""

from typing import TYPE_CHECKING, Final

from forkful.handlers import proxied
from forkful.handlers.wsgi import Environ, template
from forkful.worker.http import fields as fields_
from forkful.worker.http.fields import Refused
from forkful.worker.http.forwarded import origin
from forkful.worker.http.wsgi.body import NOTHING
from forkful.worker.http.wsgi.caller import Caller
from forkful.worker.http.wsgi.exchange import WsgiExchange
from forkful.worker.net.trust import Trust

if TYPE_CHECKING:
    from forkful.worker.http.http1 import HttpConnection
    from forkful.worker.http.request import Fields, Request
    from forkful.worker.net.local_address import LocalAddress

_KNOWN: Final = fields_.WSGI_FIELDS


class WsgiGateway:
    """A WSGI application behind one listener."""

    def __init__(self, service: Caller, local: "LocalAddress", trust: Trust, *, threads: bool, processes: bool) -> None:
        self._service = service
        self._trust = trust
        self._is_any = local.is_any
        if local.scheme == "https":
            from forkful.worker.http import secured  # noqa: PLC0415  # others do without ssl

            self._tell = secured.variables
        self._template = template(
            name=local.name,
            port=str(local.port or 80),  # a Unix socket's: PEP 3333 wants one, and with 80 a URL is made without
            scheme=local.scheme,
            threads=threads,
            processes=processes,
        )

    def read_fields(self, block: bytes, fields: "Fields") -> None:
        """Make an environ of them, with what is the same in all of this listener."""
        environ = fields.form = self._template.copy()
        if not block:
            return
        lines = block.decode("latin-1").split("\r\n")
        size = len(environ) + len(lines)
        for line in lines:
            pair = _KNOWN.get(line)
            if pair is not None:
                environ[pair[0]] = pair[1]
                continue
            key, value, flag = fields_.read_wsgi(line)
            if flag:
                fields.note(flag, value.encode("latin-1"))
            if key:
                environ[key] = value
            else:
                size -= 1
        if len(environ) != size:
            environ = fields.form = self._join(lines)
        fields.host = environ.get("HTTP_HOST")
        fields.said = (
            "HTTP_X_FORWARDED_FOR" in environ or "HTTP_X_FORWARDED_PROTO" in environ or "HTTP_FORWARDED" in environ
        )

    def _join(self, lines: list[str]) -> Environ:
        """Some fields came more than once (RFC 9110 section 5.3)."""
        environ = self._template.copy()
        for line in lines:
            key, value, _ = fields_.read_wsgi(line)
            if key in environ:
                if key == "HTTP_HOST":
                    raise Refused(400, "a repeated Host")
                value = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
            if key:
                environ[key] = value
        return environ

    def open(self, connection: "HttpConnection", request: "Request") -> WsgiExchange:
        """The environ of this request, and the call that gets it."""
        fields = request.fields
        environ: Environ = fields.form.copy() if fields.shared else fields.form
        _, _, _, environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"], environ["RAW_URI"] = (
            request.line
        )
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = connection.host, connection.port
        environ["wsgi.input"] = NOTHING
        accepted = connection.accepted
        if self._is_any or (accepted is not None and accepted.says_local):
            arrived = connection.local()
            if arrived is not None:
                environ["SERVER_NAME"], environ["SERVER_PORT"] = arrived[0], str(arrived[1])
        if accepted is not None and accepted.proxy_header is not None:
            environ.update(proxied.variables(accepted.proxy_header))
            if accepted.proxy_header.is_tls:
                environ["wsgi.url_scheme"], environ["HTTPS"] = "https", "on"
        if accepted is not None and accepted.tls is not None:
            environ.update(connection.secured(self._tell))
        if not fields.http11:
            environ["SERVER_PROTOCOL"] = "HTTP/1.0"
        if request.named:
            environ["HTTP_HOST"] = request.named
        if fields.said and self._trust.believes(connection.host):
            self._believe(environ, fields)
        return WsgiExchange(connection, self._service, request, environ)

    def _believe(self, environ: Environ, fields: "Fields") -> None:
        """The peer is a proxy of ours: take its word for who the client is (`forwarded_allow_ips`)."""
        get = environ.get
        said = fields.origin
        if said is None:
            said = fields.origin = origin(
                self._trust,
                forwarded=get("HTTP_FORWARDED", ""),
                for_=get("HTTP_X_FORWARDED_FOR", ""),
                proto=get("HTTP_X_FORWARDED_PROTO", ""),
            )
        if said.host:
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = said.host, said.port
        if said.scheme:
            environ["wsgi.url_scheme"] = said.scheme
            if said.scheme == "https":
                environ["HTTPS"] = "on"
            else:
                environ.pop("HTTPS", None)
