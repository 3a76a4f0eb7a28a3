"""A request as WSGI has it: from a head's fields to an environ (PEP 3333), and its body to `wsgi.input`.

A client on a kept connection often sends the same fields each time, to the byte. Then the environ made of them is
copied instead of made, which is where most of the time for a request with many fields goes.
Can go wrong: what the client sent makes no sense: `Refused`. The disk is full: 500, logged.
"""

import asyncio
from typing import Final, Protocol

from forkful.handlers.wsgi import Environ
from forkful.worker.http import fields
from forkful.worker.http.fields import Refused
from forkful.worker.http.forwarded import Trust, origin
from forkful.worker.http.http1 import HttpConnection
from forkful.worker.http.wire import Keeper
from forkful.worker.http.wsgi.body import NOTHING, Body

_KNOWN: Final = fields.WSGI_FIELDS
_SEEN, _KEPT = 1024, 128


def _said(environ: Environ) -> bool:
    """Whether a proxy says something of the client (`http_proxy`)."""
    return "HTTP_X_FORWARDED_FOR" in environ or "HTTP_X_FORWARDED_PROTO" in environ or "HTTP_FORWARDED" in environ


class TrustingKeeper(Keeper, Protocol):
    """A service that knows its proxies."""

    trust: Trust


class Openings:
    """The first requests of connections to one listener: what they have in common, and what their fields came to.

    Clients that make a connection for each request mostly say the same each time. `seen` has the hashes of fields that
    came once; those that come again are kept, within bounds.
    """

    __slots__ = ("_kept", "_seen", "get", "template")

    def __init__(self, template: Environ) -> None:
        self.template = template  # what is the same in all environs of this listener
        self._seen: set[int] = set()
        self._kept: dict[bytes, tuple[Environ, bool]] = {}
        self.get = self._kept.get

    def met(self, block: bytes, environ: Environ, *, keep: bool) -> None:
        """A connection began with these fields, which came to this, and it is kept or not."""
        mark = hash(block)
        if mark not in self._seen:
            if len(self._seen) >= _SEEN:
                self._seen.clear()
            self._seen.add(mark)
            return
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        self._kept[block] = environ.copy(), keep


class WsgiRequest(HttpConnection):
    """The request's half of a connection; the other half is its subclass."""

    __slots__ = (
        "_body",
        "_head_only",
        "_host",
        "_known",
        "_opening",
        "_openings",
        "_port",
        "_template",
        "_trusted",
        "environ",
    )

    service: TrustingKeeper

    def __init__(self, service: TrustingKeeper, openings: Openings) -> None:
        super().__init__(service)
        self._openings = openings
        self._opening = True  # nothing was asked on this connection yet
        self._template = openings.template
        self.environ: Environ = openings.template
        self._known: Environ | None = None  # what the fields of the last request came to, if they repeat
        self._body: Body | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        address = transport.get_extra_info("peername")
        if type(address) is tuple:
            self._host, self._port = address[0], str(address[1])
        else:
            self._host = self._port = ""  # a Unix socket
        self._trusted = self.service.trust.believes(self._host)
        super().connection_made(transport)

    def _run(self) -> None:
        """The request is whole: call the application."""
        raise NotImplementedError

    def _fresh(self) -> Environ:
        environ = self.environ = self._template.copy()
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = self._host, self._port
        return environ

    def _read_fields(self, block: bytes) -> None:
        environ = self._fresh()
        if not block:
            return
        lines = block.decode("latin-1").split("\r\n")
        size = len(environ) + len(lines)
        for line in lines:
            pair = _KNOWN.get(line)
            if pair is not None:
                environ[pair[0]] = pair[1]
                continue
            key, value, flag = fields.read_wsgi(line)
            if flag:
                self._framing_field(flag, value.encode("latin-1"))
            if key:
                environ[key] = value
            else:
                size -= 1
        if len(environ) != size:
            self._join(lines)

    def _join(self, lines: list[str]) -> None:
        """Some fields came more than once (RFC 9110 section 5.3)."""
        environ = self._fresh()
        for line in lines:
            key, value, _ = fields.read_wsgi(line)
            if key in environ:
                if key == "HTTP_HOST":
                    raise Refused(400, "a repeated Host")
                value = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
            if key:
                environ[key] = value

    def _start(self, *, body: bool) -> None:
        environ = self.environ
        method, target = self.method, self.target
        self._head_only = method == b"HEAD"
        host = environ.get("HTTP_HOST")
        if host is not None:
            fields.check_host(host)
        elif self.http11:
            raise Refused(400, "no Host")
        if target[:1] != b"/":
            target, named = fields.split_absolute(method, target)
            if named is not None:
                environ["HTTP_HOST"] = named
        line = self.line or fields.read_target(method, target, remember=self.http11 and target is self.target)
        _, _, _, environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"], environ["RAW_URI"] = line
        if not self.http11:
            environ["SERVER_PROTOCOL"] = "HTTP/1.0"
        if self._trusted and _said(environ):
            self._believe()
        if body:
            self._body = Body()
            return
        environ["wsgi.input"] = NOTHING
        if target is self.target:
            self._remember(environ)
        else:  # its host came with the target, so its fields alone do not say what the next one's come to
            self._known = None
        self._opening = False
        self._run()

    def _remember(self, environ: Environ) -> None:
        """Keep what these fields came to, if they came before."""
        if self.repeats:
            self._known = environ.copy()
            return
        self._known = None
        if self._opening and self._block and self.http11 and not _said(environ):
            self._openings.met(self._block, environ, keep=self.keep)

    def _again(self, line: fields.Line) -> bool:
        if self._known is None:
            return False
        self.keep = True
        self._repeat(line, self._known.copy())
        return True

    def _first(self, line: fields.Line, block: bytes) -> bool:
        met = self._openings.get(block)
        if met is None:
            return False
        environ, self.keep = met[0].copy(), met[1]
        self.http11 = True
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = self._host, self._port
        self._block = block
        self._repeat(line, environ)
        return True

    def _repeat(self, line: fields.Line, environ: Environ) -> None:
        self.environ = environ
        (
            self.method,
            self.target,
            _,
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"],
            environ["QUERY_STRING"],
            environ["RAW_URI"],
        ) = line
        self._head_only = self.method == b"HEAD"
        self._run()

    def _close_body(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def _believe(self) -> None:
        """The peer is a proxy of ours: take its word for who the client is (`forwarded_allow_ips`)."""
        environ = self.environ
        get = environ.get
        said = origin(
            self.service.trust,
            forwarded=get("HTTP_FORWARDED", ""),
            for_=get("HTTP_X_FORWARDED_FOR", ""),
            proto=get("HTTP_X_FORWARDED_PROTO", ""),
        )
        if said.host:
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = said.host, said.port
        if said.scheme:
            environ["wsgi.url_scheme"] = said.scheme

    def _content(self, piece: bytes) -> None:
        assert self._body is not None
        try:
            self._body.write(piece)
        except OSError as error:
            self.service.failed(self, error, "cannot keep the body of")
            raise Refused(500, f"cannot keep the body: {error}") from error

    def _end(self) -> None:
        assert self._body is not None
        environ = self.environ
        environ["wsgi.input"] = self._body.rewind()
        if "HTTP_TRANSFER_ENCODING" in environ:  # the coding is undone, so the length is known now
            del environ["HTTP_TRANSFER_ENCODING"]
            environ["CONTENT_LENGTH"] = str(self._body.size)
        self._run()

    def field(self, name: str) -> str:
        key = name.upper().replace("-", "_")
        return str(self.environ.get(key if key.startswith("CONTENT_") else f"HTTP_{key}", ""))

    def variable(self, name: str) -> str:
        return str(self.environ.get(name, ""))

    def remote(self) -> str:
        return str(self.environ.get("REMOTE_ADDR", ""))
