"""What an independent parser (h11) makes of the bytes of a client: requests, and the fields as WSGI and ASGI have them.

Can go wrong: h11 is stricter than RFC 9112 in two places, which `dechunk` makes good, and more lenient in others: what
smugglers live on is refused by `ambiguous`. What is left is the most that a server may accept, not the least.
"""

import re
from collections.abc import Iterator

import h11

_SIZE = re.compile(rb"0*([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\r\n\0]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*")


def dechunk(data: bytes) -> tuple[bytes, bytes] | None:
    """(body, what is behind it), or None. For two things that RFC 9112 section 7.1 allows and h11 does not: more than
    20 digits, and space before an extension."""
    body = b""
    while True:
        line, end, data = data.partition(b"\r\n")
        match = _SIZE.fullmatch(line)
        if match is None or not end:
            return None
        size = int(match[1], 16)
        if not size:
            break
        if data[size : size + 2] != b"\r\n":
            return None
        body, data = body + data[:size], data[size + 2 :]
    while True:
        line, end, data = data.partition(b"\r\n")
        if not end or (line and not _TRAILER.fullmatch(line)):
            return None
        if not line:
            return body, data


_LENIENT = re.compile(rb"(?<!\r)\n|\r(?!\n)|\r\n[ \t]")  # RFC 9112 sections 2.2 and 5.2 leave them to us


def ambiguous(head: bytes, request: h11.Request) -> bool:
    """What h11 takes, and others on the way may take otherwise; RFC 9112 sections 6.1 and 6.3 let us refuse it."""
    names = [name for name, _ in request.headers]
    lengths, codings = names.count(b"content-length"), names.count(b"transfer-encoding")
    repeated = len([line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]) > 1
    old = codings and request.http_version != b"1.1"
    return bool((lengths and codings) or repeated or old or _LENIENT.search(head))


class Reference:
    """A stream taken apart: requests, one after the other, until the first that makes no sense."""

    def __init__(self, data: bytes) -> None:
        self.requests: list[tuple[h11.Request, bytes]] = []
        while True:
            while data.startswith(b"\r\n"):  # RFC 9112 section 2.2
                data = data[2:]
            found = self._one(data) if data else None
            if found is None:
                return
            request, body, data = found
            self.requests.append((request, body))

    @staticmethod
    def _one(data: bytes) -> tuple[h11.Request, bytes, bytes] | None:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        parser.receive_data(data)
        request: h11.Request | None = None
        body = b""
        try:
            while True:
                event: object = parser.next_event()
                match event:
                    case h11.Request() as found:
                        request = found
                        if ambiguous(data.partition(b"\r\n\r\n")[0], found):
                            return None
                    case h11.Data(data=piece):
                        body += piece
                    case h11.EndOfMessage():
                        assert request is not None
                        return request, body, parser.trailing_data[0]
                    case _:
                        return None
        except h11.RemoteProtocolError:
            head, end, rest = data.partition(b"\r\n\r\n")
            decoded = dechunk(rest) if request is not None and end and b"transfer-encoding" in head.lower() else None
            return (request, *decoded) if request is not None and decoded is not None else None

    def persistent(self, number: int) -> bool:
        """Whether the connection lives on after this request, if the server wants it to (RFC 9112 section 9.3)."""
        request = self.requests[number][0]
        lines = [value for name, value in request.headers if name == b"connection"]
        words = {word.strip(b" \t").lower() for line in lines for word in line.split(b",")}
        if b"close" in words:
            return False
        return request.http_version == b"1.1" or b"keep-alive" in words

    def upgrades(self) -> bool:
        """Whether a request wants a WebSocket."""
        fields = (pair for request, _ in self.requests for pair in request.headers)
        return any(name == b"upgrade" and value.lower() == b"websocket" for name, value in fields)


def as_wsgi(request: h11.Request, body: bytes) -> tuple[tuple[str, str], ...]:
    """The fields as PEP 3333 wants them."""
    environ: dict[str, str] = {}
    for name, value in as_asgi(request, body):
        key = name.upper().replace("-", "_")
        if key == "TRANSFER_ENCODING":
            continue
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        glue = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{glue}{value}" if key in environ else value
    if any(name == b"transfer-encoding" for name, _ in request.headers):
        environ["CONTENT_LENGTH"] = str(len(body))
    return tuple(sorted(environ.items()))


def as_asgi(request: h11.Request, body: bytes) -> tuple[tuple[str, str], ...]:  # noqa: ARG001  # as the other
    """The fields as ASGI wants them."""
    return tuple(_fields(request))


def _fields(request: h11.Request) -> Iterator[tuple[str, str]]:
    """With the host of an absolute target in place of the field (RFC 9112 section 3.2.2), without `X_A` for `X-A`."""
    host = _authority(request)
    if host:
        yield "host", host
    for name, value in request.headers:
        if not (host and name == b"host") and b"_" not in name:
            text = value.decode("latin-1")
            yield name.decode(), text.lower() if name == b"transfer-encoding" else text


def _authority(request: h11.Request) -> str:
    scheme, mark, rest = request.target.decode("latin-1").partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        return ""
    return rest.partition("/")[0].partition("?")[0]


def origin_form(target: str) -> str:
    """A target without scheme and host; ASGI does not tell an empty query from none."""
    target = target.removesuffix("?") if target.count("?") == 1 else target
    if target.startswith("/") or target == "*":
        return target
    rest = target.partition("://")[2]
    at = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
    path = rest[at:]
    return path if path.startswith("/") else "/" + path
