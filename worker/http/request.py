"""What a parsed request is: its line, its fields, and what they say of the message and of the connection.

It is a value: nobody changes it once it is read, so that what repeats to the byte is read once.
Can go wrong: what the client sent makes no sense (RFC 9112 section 6.3, without its lenience): `Refused`.
"""

from typing import Any, Final

import httptools

from forkful.worker.http import fields as fields_
from forkful.worker.http.fields import CODING, CONNECTION, EXPECT, LENGTH, UPGRADE, Line, Refused

_SILENT: Final = object()  # what calls nothing back
_DIGITS: Final = 19  # of a length; llhttp passes any number of zeros before it


class Fields:
    """The fields of a head, whatever its request line is.

    Most heads say nothing of the message, so what they seldom change are values of the class.
    """

    form: Any  # Any: as the application's interface has them; only that knows
    host: str | None = None
    keep: bool  # the connection lives on after this, if we want it to
    shared = False  # they are used again: who changes `form` makes a copy
    length = 0  # of the body
    chunked = False
    expects = False  # the client waits for 100 Continue
    upgrade = False  # it wants another protocol
    trailers = False  # it takes fields behind a body (ASGI's alone)
    said = False  # a proxy says something of the client
    sayings: dict[bytes, str]  # what, by the field's name (ASGI's alone: WSGI's environ has it)
    origin: Any = None  # Any: the gateway's, what that came to
    _framing: dict[int, bytes] | None = None  # fields that frame the message, and their values

    def __init__(self, *, http11: bool) -> None:
        self.http11 = self.keep = http11

    @property
    def body(self) -> bool:
        return self.chunked or self.length > 0

    @property
    def plain(self) -> bool:
        """They say nothing of the message, so that a request with the same is the same but for its line."""
        return self._framing is None

    def note(self, flag: int, value: bytes) -> None:
        """Take in a field that decides where the message ends, or what becomes of the connection."""
        if flag == CONNECTION and self.http11:  # the usual words need no second look
            word = value.lower()
            if word == b"keep-alive":
                return
            if word == b"close":
                self.keep = False
                return
        if self._framing is None:
            self._framing = {}
        before = self._framing.get(flag)
        if flag == LENGTH and before is not None:
            raise Refused(400, "a repeated Content-Length")
        if flag == CODING and (before is not None or value.lower() != b"chunked"):
            raise Refused(400 if before is not None else 501, f"Transfer-Encoding {value[:40]!r}")
        self._framing[flag] = value if before is None else before + b"," + value

    def settle(self, limit: int) -> None:
        """See what they come to, in the order of the rules of RFC 9112 section 6.3. `limit`: of the body; 0: none."""
        said = self._framing
        if said is None:
            return
        if CONNECTION in said:
            words = {word.strip(b" \t") for word in said[CONNECTION].lower().split(b",")}
            self.keep = (self.keep if self.http11 else b"keep-alive" in words) and b"close" not in words
            self.upgrade = UPGRADE in said and b"upgrade" in words
        self.chunked = CODING in said
        if self.chunked and (LENGTH in said or not self.http11):
            raise Refused(400, "Transfer-Encoding with Content-Length or from a 1.0 client")
        digits = said.get(LENGTH, b"0")
        if len(digits) > _DIGITS:
            raise Refused(400, f"Content-Length of {len(digits)} digits")
        self.length = int(digits)
        if limit and self.length > limit:
            raise Refused(413, f"a body of {self.length} bytes (limit_request_body is {limit})")
        if EXPECT in said and self.http11:
            if said[EXPECT].lower() != b"100-continue":
                raise Refused(417, f"Expect: {said[EXPECT][:40]!r}")
            self.expects = True


class Request:
    """One request, checked."""

    __slots__ = ("fields", "line", "named", "target")

    def __init__(self, line: Line, fields: Fields, target: bytes, named: str = "") -> None:
        self.line = line  # taken apart, without the host of an absolute target
        self.fields = fields
        self.target = target  # as it came
        self.named = named  # the host of an absolute target, which counts before the field (RFC 9112 section 3.2.2)

    @property
    def method(self) -> bytes:
        return self.line.method

    @property
    def http11(self) -> bool:
        return self.fields.http11


def read_line(line: bytes) -> tuple[bytes, bytes, bool]:
    """(method, target, whether it is HTTP/1.1) of a request line that was not met before."""
    try:
        method, target, version = line.split(b" ")
    except ValueError:
        method = target = version = b""
    if version != b"HTTP/1.1":
        method, target, version = fields_.parse_line(line)
    if not method.isalpha():
        fields_.check_method(method)
    return method, target, version == b"HTTP/1.1"


def check_head(head: bytes, method: bytes) -> None:
    """Have llhttp read it. A parser of its own for each head: nothing of one client can reach another."""
    try:
        httptools.HttpRequestParser(_SILENT).feed_data(head)
    except httptools.HttpParserUpgrade:
        # RFC 9110 section 7.8: an upgrade that we do not make is ignored; the request itself is good.
        if method == b"CONNECT":
            raise Refused(501, "CONNECT") from None
    except httptools.HttpParserInvalidMethodError:
        raise Refused(501, f"method {method[:20]!r}") from None
    except httptools.HttpParserError as error:
        # The coding is one that nobody knows: RFC 9112 section 6.1.
        unknown = "Request has invalid `Transfer-Encoding`" in str(error)
        raise Refused(501 if unknown else 400, str(error)) from None


def aim(line: bytes, method: bytes, target: bytes, fields: Fields) -> Request:
    """A request whose line was not met before, and whose fields are read: where does it go?"""
    check_host(fields)
    if target[:1] == b"/":
        return Request(fields_.read_target(method, target, line if fields.http11 else b""), fields, target)
    path, named = fields_.split_absolute(method, target)
    return Request(fields_.read_target(method, path), fields, target, named or "")


def check_host(fields: Fields) -> None:
    """RFC 9112 section 3.2: a request of HTTP/1.1 has one, and it is a host."""
    if fields.host is not None:
        fields_.check_host(fields.host)
    elif fields.http11:
        raise Refused(400, "no Host")


class Glimpse:
    """What there is of a request that was refused, for the log: nothing of it is checked, and it may be half a head."""

    http11 = True

    def __init__(self, head: bytes, remote: str) -> None:
        line, *self._lines = head.partition(b"\r\n\r\n")[0].split(b"\r\n")
        self.method, _, rest = line.partition(b" ")
        self.target, _, version = rest.partition(b" ")
        self.http11 = version != b"HTTP/1.0"
        self._remote = remote

    def remote(self) -> str:
        return self._remote

    def field(self, name: str) -> str:
        wanted = name.lower().encode("latin-1", "replace")
        pairs = (line.partition(b":") for line in self._lines)
        return ",".join(value.strip().decode("latin-1") for key, _, value in pairs if key.lower() == wanted)

    def answer_field(self, name: str) -> str:  # noqa: ARG002
        return ""

    def variable(self, name: str) -> str:  # noqa: ARG002
        return ""
