"""Header fields of a request: which names and values are good, what WSGI calls them, and which frame the message.

llhttp has refused bad tokens, folding, bare CR or LF and control characters before anything gets here (strict mode);
what it lets pass and we do not is checked here. RFC 9110 section 5, RFC 9112 sections 3.2 and 6.
Can go wrong: a field that no honest client sends: `Refused`, with the status that says so.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

_LONG_NAME, _LONG = 64, 300  # names, hosts and targets beyond are not remembered
_FIRST = 4200  # bytes of a head that comes in pieces, in which a bad request line is found early
LEARNED = 4096  # names and values that a table may learn from traffic; strangers cannot make it grow further

#: Fields that say where the message ends or what becomes of the connection; the framing looks at these itself.
LENGTH, CODING, CONNECTION, EXPECT, UPGRADE = 1, 2, 4, 8, 16
FRAMING: Final = {
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": CONNECTION,
    b"expect": EXPECT,
    b"upgrade": UPGRADE,
}

_USUAL = (
    b"Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers "
    b"Access-Control-Request-Method "
    b"Authorization Cache-Control Content-Encoding Content-Type Cookie DNT Date Forwarded From Host If-Match "
    b"If-Modified-Since If-None-Match If-Range If-Unmodified-Since Keep-Alive Last-Event-ID Max-Forwards Origin Pragma "
    b"Priority Purpose Range Referer Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-Fetch-Dest Sec-Fetch-Mode "
    b"Sec-Fetch-Site Sec-Fetch-User Sec-GPC TE Traceparent Tracestate Trailer Upgrade-Insecure-Requests User-Agent Via "
    b"X-CSRF-Token X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Proto X-Real-IP X-Request-ID "
    b"X-Requested-With"
).split()

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%\w]+\]|[\w.~!$&'()*+,;=%-]*)(?::[0-9]{0,5})?", re.ASCII)
_ABSOLUTE = re.compile(rb"(https?)://([^/?#@]+)(/[^?]*)?(\?.*)?", re.IGNORECASE | re.DOTALL)
_TRAILING = re.compile(rb"(?<=[^ \t\r\n])[ \t]+\r\n")


class Refused(Exception):  # noqa: N818  # the client's mistake, not an error of ours
    """This request is not served. `status` is what the client is told, the message is for the log."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def wsgi_key(name: bytes) -> str:
    """The environ's key for a field (PEP 3333); "" for one that could pass for another: `X_A` for `X-A`."""
    key = _wsgi_keys.get(name)
    if key is None:
        text = name.decode("latin-1").upper().replace("-", "_")
        key = "" if b"_" in name else "CONTENT_TYPE" if text == "CONTENT_TYPE" else f"HTTP_{text}"
        if len(_wsgi_keys) < LEARNED and len(name) < _LONG_NAME and name.lower() not in FRAMING:
            _wsgi_keys[name] = key
            if key:
                WSGI_KEYS[name] = key
    return key


_wsgi_keys: dict[bytes, str] = {}

#: What the parser's callback looks up: usual names in the spellings that clients use, and those learned since.
#: The framing's own are never here, so they always take the slower way round.
WSGI_KEYS: Final[dict[bytes, str]] = {}
#: The same for ASGI, where a name is given in lower case.
ASGI_NAMES: Final[dict[bytes, bytes]] = {}

for _name in _USUAL:
    for _spelling in (_name, _name.lower(), _name.title()):
        wsgi_key(_spelling)
        ASGI_NAMES[_spelling] = _name.lower()
ASGI_HOST: Final = b"host"
for _spelling in (b"Host", b"host"):
    del ASGI_NAMES[_spelling]  # ASGI's table does not notice a repeated Host, so it takes the slower way


_good_hosts: set[str] = set()


def check_host(value: str) -> None:
    """RFC 9112 section 3.2: a Host that is no host is a 400."""
    if value in _good_hosts:
        return
    if len(value) > _LONG or not _HOST.fullmatch(value):
        raise Refused(400, "Host is not a host")
    if len(_good_hosts) < LEARNED:
        _good_hosts.add(value)


def without_trailing_space(head: bytes) -> bytes:
    """Drop white space at the end of values, which llhttp keeps (RFC 9112 section 5.1); never a whole line."""
    return _TRAILING.sub(b"\r\n", head)


def check_sizes(head: bytes, *, line: int, fields: int, field_size: int) -> None:
    """Hold a whole head against the limits; only for heads that are long enough to break one."""
    first, *rest = head[:-4].split(b"\r\n")
    if len(first) > line:
        raise Refused(414, f"request line of {len(first)} bytes (limit_request_line is {line})")
    if len(rest) > fields:
        raise Refused(431, f"{len(rest)} header fields (limit_request_fields is {fields})")
    longest = max(map(len, rest), default=0)
    if longest > field_size:
        raise Refused(431, f"a header field of {longest} bytes (limit_request_field_size is {field_size})")


def split_absolute(method: bytes, target: bytes) -> tuple[bytes, bytes | None]:
    """Read a target that is not a path: (origin form, host or None). RFC 9112 section 3.2."""
    if target == b"*" and method == b"OPTIONS":
        return target, None
    match = _ABSOLUTE.fullmatch(target)
    if match is None or method == b"CONNECT":
        raise Refused(501 if method == b"CONNECT" else 400, "neither a path nor an absolute target")
    return (match[3] or b"/") + (match[4] or b""), match[2]


class Line(NamedTuple):
    """A request line taken apart, whose target is a path and whose version is 1.1."""

    method: bytes
    target: bytes
    text: str  # the path as ASGI has it: UTF-8
    name: str
    path: str
    query: str
    raw: str


#: Request lines that llhttp has passed, so that what repeats is not taken apart again.
LINES: Final[dict[bytes, Line]] = {}


def read_target(method: bytes, target: bytes, *, remember: bool) -> Line:
    """Take a path apart, percent-encoding undone as WSGI and ASGI want it."""
    if b"#" in target:
        raise Refused(400, "a fragment in the target")
    path, _, query = target.partition(b"?")
    if b"%" in path:
        path = unquote_to_bytes(path)
    text = path.decode("utf-8", "replace")
    line = Line(
        method,
        target,
        text,
        method.decode("latin-1"),
        path.decode("latin-1"),
        query.decode("latin-1"),
        target.decode("latin-1"),
    )
    if remember and len(target) < _LONG:
        if len(LINES) >= LEARNED:
            LINES.clear()
        LINES[b"%b %b HTTP/1.1" % (method, target)] = line
    return line


_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^ ]+) ([^ ]*)")


def parse_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Say what is wrong with a request line that is not three words of a known version (RFC 9112 section 3)."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise Refused(400, "not a request line")
    method, target, version = match.groups()
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        known = re.fullmatch(rb"HTTP/[0-9]\.[0-9]", version)
        raise Refused(505 if known else 400, f"version {version[:20]!r}")
    return method, target, version


_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def check_method(method: bytes) -> None:
    """RFC 9110 section 9.1: a method is a token."""
    if not _METHOD.fullmatch(method):
        raise Refused(400, f"method {method[:20]!r}")


_PARTIAL_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{0,32}(?: [!-\xff]*(?: (?:H(?:T(?:T(?:P[!-~]*)?)?)?)?\r?)?)?")


_BARE = re.compile(rb"\0|(?<!\r)\n|\r(?!\n|\Z)")


def check_partial(head: bytearray, since: int) -> None:
    """Refuse early what no more bytes can make right: `head[since:]` is new, and no empty line has come yet."""
    if _BARE.search(head, max(0, since - 1)):
        raise Refused(400, "a bare CR, LF or NUL")
    if since < _FIRST:
        line, *rest = bytes(head[:_FIRST]).split(b"\r\n", 1)
        if rest:
            parse_line(line)
        elif len(head) < _FIRST and not _PARTIAL_LINE.fullmatch(line):
            raise Refused(400, "not HTTP")
