"""The head of a response: status line, `Date` cached per second, and the application's fields, checked and framed.

Splitting a response is refused: a status, name or value with a control character in it is the application's mistake
and answered with 500 (RFC 9110 section 5.5, RFC 9112 section 11.1). So is a status 1xx: the client would take the
answer to its next request for this one's. Fields that belong to the connection are ours.
Can go wrong: a field that cannot be sent: `BadResponse`.
"""

import re
import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final, NamedTuple, cast

SERVER: Final = b"Server: forkful\r\n"
_WEBSOCKET: Final = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
_EARLY_HINTS: Final = b"HTTP/1.1 103 Early Hints\r\n"
_CACHED: Final = 2048
_LONG, _DIGITS = 200, 18  # a value beyond is not remembered; a length beyond is none

# What a field of the application's can mean to the framing.
LENGTH, CLOSE, DROP, DATE, SERVED_BY = range(5)
_OURS: Final = {
    "content-length": LENGTH,
    "connection": CLOSE,
    "keep-alive": DROP,
    "proxy-authenticate": -1,  # not of this hop, whatever RFC 2616 said: RFC 9110 section 11.7.1
    "proxy-connection": DROP,
    "te": DROP,
    "trailer": DROP,
    "transfer-encoding": DROP,
    "upgrade": DROP,
    "date": DATE,
    "server": SERVED_BY,
}
_NEVER_KEPT: Final = frozenset({"set-cookie", "authorization", "location", "etag", "last-modified", "expires"})

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_STATUS = re.compile(r"[2-9][0-9]{2} [\t -~\x80-\xff]*")
_NO_BODY = ("204", "304")


class BadResponse(ValueError):  # noqa: N818  # said of what the application gave us
    """The application's status or field cannot be sent."""


class Meaning(NamedTuple):
    """A field that the framing has to know about."""

    kind: int
    number: int = 0
    line: bytes = b""


_lines: dict[tuple[str | bytes, str | bytes], bytes | Meaning] = {}


def examine(name: str | bytes, value: str | bytes) -> bytes | Meaning:
    """Check one field; give its line, or what it means. What repeats is remembered (checked once, encoded once)."""
    pair = name, value
    if isinstance(name, bytes) and isinstance(value, bytes):  # ASGI's
        name, value = name.decode("latin-1"), value.decode("latin-1")
    if not isinstance(name, str) or not isinstance(value, str):
        raise BadResponse(f"a header field must be two texts, not ({name!r}, {value!r})")
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise BadResponse(f"a header field that cannot be sent: ({name!r}, {value!r})")
    lower = name.lower()
    kind = _OURS.get(lower, -1)
    line: bytes | Meaning = f"{name}: {value}\r\n".encode("latin-1")
    if kind == LENGTH:
        if not value.isascii() or not value.isdecimal() or len(value) > _DIGITS:
            raise BadResponse(f"Content-Length {value!r} is no length")
        line = Meaning(LENGTH, int(value), b"Content-Length: %d\r\n" % int(value))
    elif kind == CLOSE:
        line = Meaning(CLOSE if "close" in re.split(r"[,\s]+", value.lower()) else DROP)
    elif kind >= 0:
        line = Meaning(kind, line=f"{name}: {value}\r\n".encode("latin-1"))
    if lower not in _NEVER_KEPT and len(value) < _LONG:
        if len(_lines) >= _CACHED:
            _lines.clear()
        _lines[pair] = line
    return line


class Stamp:
    """Begins responses: status line, Server and Date, ready-made until the second is over."""

    __slots__ = ("_date", "starts", "until")

    def __init__(self) -> None:
        self.until = 0  # monotonic ns
        self.starts: dict[str, tuple[bytes, bool]] = {}
        self._date = b""
        self.renew(time.monotonic_ns())

    def renew(self, now: int) -> None:
        wall = time.time()
        self.until = now + int((1 - wall % 1) * 1e9)
        self._date = f"Date: {formatdate(wall, usegmt=True)}\r\n".encode()
        self.starts.clear()

    def start(self, status: str) -> tuple[bytes, bool]:
        """The first lines of a response, and whether this status has no body (RFC 9110 section 6.4.1)."""
        line = self.line(status)
        made = line + SERVER + self._date, status.startswith(_NO_BODY)
        if len(self.starts) < _CACHED:
            self.starts[status] = made
        return made

    def line(self, status: str) -> bytes:
        if not isinstance(status, str) or not _STATUS.fullmatch(status):
            raise BadResponse(f"a status must be three digits from 200 on, a space and a reason, not {status!r}")
        return f"HTTP/1.1 {status}\r\n".encode("latin-1")

    def without(self, status: str, *, date: bool, server: bool) -> bytes:
        """The same when the application sent a Date or a Server of its own."""
        return self.line(status) + (b"" if server else SERVER) + (b"" if date else self._date)


#: A head ready to be sent: its lines, the length of the body to be sent behind it (-1: unknown; 0 for HEAD), whether
#: that body goes in chunks, and whether the connection is kept.
Head = tuple[list[bytes], int, bool, bool]


def build(  # noqa: C901, PLR0912, PLR0913  # one exchange's facts in one pass: it runs for each response
    stamp: Stamp,
    status: str,
    fields: Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]],
    known: int,  # length of the whole body, or -1
    *,
    head_only: bool,
    http11: bool,
    keep: bool,
) -> Head:
    """Put a head together. Raises `BadResponse`."""
    start, bodiless = stamp.starts.get(status) or stamp.start(status)
    lines = [start]
    length = -1
    own: set[int] | None = None
    for pair in fields:
        line = _lines.get(pair) if type(pair) is tuple else None
        if line is None:
            line = _examine_pair(pair)
        if type(line) is bytes:
            lines.append(line)
            continue
        assert type(line) is Meaning
        if line.kind == LENGTH:
            if length >= 0 and length != line.number:
                raise BadResponse("two different Content-Length")
            length = line.number
        else:
            keep, own = _special(line, lines, keep, own)
    if own:
        lines[0] = stamp.without(status, date=DATE in own, server=SERVED_BY in own)
    chunked = False
    if bodiless:
        length = _without_body(lines, status, length)
    elif length >= 0 or known >= 0:
        length = length if length >= 0 else known
        lines.append(b"Content-Length: %d\r\n" % length)
    elif not head_only:
        chunked, keep = http11, keep and http11  # a 1.0 client knows the end by the end of the connection
    if chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    if not keep:
        lines.append(b"Connection: close\r\n")
    elif not http11:
        lines.append(b"Connection: keep-alive\r\n")
    lines.append(b"\r\n")
    return lines, 0 if head_only else length, chunked, keep


def early_hints(fields: Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]) -> bytes:
    """An interim answer: what a client may prepare meanwhile (RFC 8297). b"": there is nothing that it may say."""
    lines = [line for pair in fields if type(line := _examine_pair(pair)) is bytes]
    return b"".join([_EARLY_HINTS, *lines, b"\r\n"]) if lines else b""


def _without_body(lines: list[bytes], status: str, length: int) -> int:
    """204 and 304: only the last may say how long the body would be (RFC 9110 section 8.6)."""
    if length >= 0 and status.startswith("304"):
        lines.append(b"Content-Length: %d\r\n" % length)
    return 0


def _examine_pair(pair: object) -> bytes | Meaning:
    try:
        name, value = cast("tuple[Any, Any]", pair)  # that is the question
    except (TypeError, ValueError) as error:
        raise BadResponse(f"a header field must be a pair of texts, not {pair!r}") from error
    return examine(name, value)


def _special(meaning: Meaning, lines: list[bytes], keep: bool, own: set[int] | None) -> tuple[bool, set[int] | None]:  # noqa: FBT001
    if meaning.kind == CLOSE:
        return False, own
    if meaning.kind in (DATE, SERVED_BY):
        lines.append(meaning.line)
        own = (own or set()) | {meaning.kind}
    return keep, own


def simple(stamp: Stamp, code: int, *, keep: bool = False, head_only: bool = False) -> bytes:
    """A short answer of our own. 426 says what we speak instead (RFC 9110 section 15.5.22, RFC 6455 section 4.4)."""
    phrase = HTTPStatus(code).phrase
    text = f"{code} {phrase}\n".encode()
    fields = [("Content-Type", "text/plain; charset=utf-8")]
    head = build(stamp, f"{code} {phrase}", fields, len(text), head_only=head_only, http11=True, keep=keep)
    if code == HTTPStatus.UPGRADE_REQUIRED:
        head[0].insert(1, _WEBSOCKET)
    return b"".join([*head[0], b"" if head_only else text])
