"""Header fields of a request: which names and values are good, what WSGI calls them, and which frame the message.

llhttp has refused bad tokens, folding, bare CR or LF and control characters before anything gets here (strict mode);
what it lets pass and we do not is checked here. RFC 9110 section 5, RFC 9112 sections 3.2 and 6.
Can go wrong: a field that no honest client sends: `Refused`, with the status that says so.
"""

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from forkful.worker.http.limits import Limits

Key = TypeVar("Key")
Value = TypeVar("Value")

_LONG = 300  # fields, hosts and targets beyond are not remembered
_FEW = 16
_FIRST = 4200  # bytes of a head that comes in pieces, in which a bad request line is found early
LEARNED = 4096  # names and values that a table may learn from traffic; strangers cannot make it grow further

#: Fields that say where the message ends or what becomes of the connection; the framing looks at these itself.
LENGTH, CODING, CONNECTION, EXPECT, UPGRADE = 1, 2, 4, 8, 16
_FRAMING: Final = {
    "content-length": LENGTH,
    "transfer-encoding": CODING,
    "connection": CONNECTION,
    "expect": EXPECT,
    "upgrade": UPGRADE,
}
FRAMES: Final = LENGTH | CODING | CONNECTION | EXPECT | UPGRADE
#: Fields that ASGI's reader has to know about; a saying is what a proxy says of the client (`forwarded`).
HOST, TE, SAYING = 32, 64, 128
_NOTED: Final = {"host": HOST, "te": TE, "forwarded": SAYING, "x-forwarded-for": SAYING, "x-forwarded-proto": SAYING}

#: Fields whose values are secrets, or seldom the same twice: their lines are not remembered.
_FLEETING: Final = frozenset(
    (
        *("authorization", "cookie", "forwarded", "if-modified-since", "if-none-match", "proxy-authorization", "range"),
        *("referer", "traceparent", "tracestate", "x-csrf-token", "x-forwarded-for", "x-real-ip", "x-request-id"),
    )
)

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%\w]+\]|[\w.~!$&'()*+,;=%-]*)(?::[0-9]{0,5})?", re.ASCII)
_ABSOLUTE = re.compile(rb"(https?)://([^/?#@]+)(/[^?]*)?(\?.*)?", re.IGNORECASE | re.DOTALL)


class Refused(Exception):  # noqa: N818  # the client's mistake, not an error of ours
    """This request is not served. `status` is what the client is told, the message is for the log."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


#: Lines of fields that were met before, and what they come to: (key of the environ, value).
WSGI_FIELDS: Final[dict[str, tuple[str, str]]] = {}
#: The same for ASGI: (name in lower case, value).
ASGI_FIELDS: Final[dict[bytes, tuple[bytes, bytes]]] = {}
#: Names as clients spell them: (key or name, its flag or 0, whether its lines are worth remembering).
WSGI_NAMES: Final[dict[str, tuple[str, int, bool]]] = {}
ASGI_NAMES: Final[dict[bytes, tuple[bytes, int, bool]]] = {}
#: What came once: the hashes of lines.
MET: Final[set[int]] = set()


def read_wsgi(line: str) -> tuple[str, str, int]:
    """(key, value, which framing field it is or 0) of a line that llhttp has passed (PEP 3333).

    The key is "" for a name that could pass for another: `X_A` for `X-A`.
    """
    name, _, value = line.partition(":")
    value = value.strip(" \t")
    key, flag, lasting = WSGI_NAMES.get(name) or _learn_wsgi(name)
    if lasting and len(line) < _LONG and again(line):
        _remember(WSGI_FIELDS, line, (key, value))
    return key, value, flag


def read_asgi(line: bytes) -> tuple[bytes, bytes, int]:
    """(name, value, which field of those with a flag it is or 0) of a line that llhttp has passed.

    The name is b"" where WSGI's would be "": applications that were written for it make the same of `X_A` and `X-A`.
    """
    spelled, _, value = line.partition(b":")
    value = value.strip(b" \t")
    name, flag, lasting = ASGI_NAMES.get(spelled) or _learn_asgi(spelled)
    if lasting and len(line) < _LONG and again(line):
        _remember(ASGI_FIELDS, line, (name, value))
    return name, value, flag


def again(line: str | bytes) -> bool:
    """Whether it came before: what comes once, as most does behind a balancer, gets no place in a table."""
    mark = hash(line)
    if mark in MET:
        return True
    if len(MET) >= LEARNED:
        MET.clear()
    MET.add(mark)
    return False


def _remember(table: dict[Key, Value], key: Key, value: Value) -> None:
    """So that strangers cannot make a table grow for ever."""
    if len(table) >= LEARNED:
        table.clear()
    table[key] = value


def _learn_wsgi(name: str) -> tuple[str, int, bool]:
    lower = name.lower()
    flag = _FRAMING.get(lower, 0)
    key = name.upper().replace("-", "_")
    if "_" in name:
        key = ""
    elif key not in ("CONTENT_LENGTH", "CONTENT_TYPE"):
        key = f"HTTP_{key}"
    known = key, flag, bool(key) and not flag and lower not in _FLEETING
    if len(name) < _LONG:
        _remember(WSGI_NAMES, name, known)
    return known


def _learn_asgi(name: bytes) -> tuple[bytes, int, bool]:
    lower = name.lower()
    text = lower.decode("latin-1")
    known = b"", 0, False
    if "_" not in text:
        flag = _FRAMING.get(text, 0) or _NOTED.get(text, 0)
        known = lower, flag, not flag and text not in _FLEETING
    if len(name) < _LONG:
        _remember(ASGI_NAMES, name, known)
    return known


_good_hosts: set[str] = set()


def check_host(value: str) -> None:
    """RFC 9112 section 3.2: a Host that is no host is a 400."""
    if value in _good_hosts:
        return
    if len(value) > _LONG or not _HOST.fullmatch(value):
        raise Refused(400, "Host is not a host")
    if len(_good_hosts) < LEARNED:
        _good_hosts.add(value)


def check_sizes(head: bytes, limits: "Limits") -> None:
    """Hold a whole head against the limits; only for heads that are long enough to break one."""
    line, fields, field_size = limits.line, limits.fields, limits.field_size
    first, *rest = head[:-4].split(b"\r\n")
    if len(first) > line:
        raise Refused(414, f"request line of {len(first)} bytes (limit_request_line is {line})")
    if len(rest) > fields:
        raise Refused(431, f"{len(rest)} header fields (limit_request_fields is {fields})")
    longest = max(map(len, rest), default=0)
    if longest > field_size:
        raise Refused(431, f"a header field of {longest} bytes (limit_request_field_size is {field_size})")
    if len(head) > limits.head:
        raise Refused(431, f"a head of {len(head)} bytes (limit_request_head is {limits.head})")


def check_growing(pending: bytearray, since: int, limits: "Limits") -> None:
    """Hold a head that has no end yet against the limits; `pending[since:]` is new."""
    line, field_size = limits.line, limits.field_size
    first = pending.find(b"\r\n", 0, line + 2)
    if first < 0 and len(pending) > line + 1:  # the CR may be here, and the LF not yet
        raise Refused(414, f"a request line longer than {line} bytes (limit_request_line)")
    if len(pending) > limits.head:
        raise Refused(431, f"a head longer than {limits.head} bytes (limit_request_head)")
    if first < 0:
        return
    begun = max(first + 2, pending.rfind(b"\n", 0, since) + 1)  # of the line that was growing
    *lines, last = pending[begun:].split(b"\r\n")
    longest = max(map(len, [*lines, last.removesuffix(b"\r")]))
    if longest > field_size:
        raise Refused(431, f"a header field longer than {field_size} bytes (limit_request_field_size)")


def split_absolute(method: bytes, target: bytes) -> tuple[bytes, str | None]:
    """Read a target that is not a path: (origin form, host or None), checked. RFC 9112 section 3.2."""
    if target == b"*" and method == b"OPTIONS":
        return target, None
    match = _ABSOLUTE.fullmatch(target)
    if match is None or method == b"CONNECT":
        raise Refused(501 if method == b"CONNECT" else 400, "neither a path nor an absolute target")
    host = match[2].decode("latin-1")
    check_host(host)
    return (match[3] or b"/") + (match[4] or b""), host


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


def read_target(method: bytes, target: bytes, line: bytes = b"") -> Line:
    """Take a path apart, percent-encoding undone as WSGI and ASGI want it. `line`: what it is remembered by."""
    raw = target.decode("latin-1")
    if "#" in raw:
        raise Refused(400, "a fragment in the target")
    path, _, query = raw.partition("?")
    text = path
    if "%" in path or not path.isascii():
        whole = unquote_to_bytes(path.encode("latin-1"))
        text, path = whole.decode("utf-8", "replace"), whole.decode("latin-1")
    found = Line(method, target, text, method.decode("latin-1"), path, query, raw)
    if line and len(target) < _LONG and again(line):
        _remember(LINES, line, found)
    return found


_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-\xff]+) ([^ ]*)")


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


_EMPTY_LINES = re.compile(rb"(?:\r\n)+")


def skip_empty_lines(pending: bytearray) -> int:
    """Take them off the front, if there are any; how many bytes they were."""
    match = _EMPTY_LINES.match(pending)
    size = match.end() if match is not None else 0
    del match  # it holds the buffer
    del pending[:size]
    return size


_CR = 13
_PARTIAL_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{0,32}(?: [!-\xff]*(?: (?:H(?:T(?:T(?:P[!-~]*)?)?)?)?\r?)?)?")


def check_partial(head: bytearray, since: int) -> None:
    """Refuse early what no more bytes can make right: `head[since:]` is new, and no empty line has come yet.

    By counting, which is twenty times quicker than an expression that looks at each byte.
    """
    start = since - 1 if since and head[since - 1] == _CR else since
    end = len(head) - head.endswith(b"\r")  # its LF may be on its way
    whole = head.count(b"\r\n", start, end)
    if head.count(b"\r", start, end) != whole or head.count(b"\n", start, end) != whole or head.find(0, start) >= 0:
        raise Refused(400, "a bare CR, LF or NUL")
    if since < _FIRST:
        line, *rest = bytes(head[:_FIRST]).split(b"\r\n", 1)
        if rest:
            parse_line(line)
        elif len(head) < _FIRST and not _PARTIAL_LINE.fullmatch(line):
            raise Refused(400, "not HTTP")
