"""One HTTP/1.1 connection: framing, keep-alive, pipelining in order, limits. What a request means is the subclass's.

It reads a head whole, has llhttp take it apart, then hands over the body piece by piece. What is behind a request
waits unparsed until the request is answered, so a pipeline costs its bytes and nothing more. RFC 9112.
Can go wrong: whatever a client sends. It is answered with the status that says so and the connection is closed;
nothing a client does raises.
"""

from time import monotonic_ns
from typing import Final

import httptools

from forkful.worker.http import fields
from forkful.worker.http.chunks import Chunks
from forkful.worker.http.fields import Refused
from forkful.worker.http.wire import BEHIND, BODY, BUSY, CLOSED, HEAD, IDLE, LINGER, Keeper, Wire

REMEMBERED: Final = 4096  # bytes of a head whose fields may be recognized when they come again
TURN: Final = 20_000_000  # ns that the requests of one client may take before others have their turn
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


_SILENT: Final = object()  # what calls nothing back


class HttpConnection(Wire):
    """Takes requests apart."""

    __slots__ = (
        "_block", "_chunks", "_coding", "_connection", "_expect", "_flags", "_length", "_pumping",
        "_scanned", "line", "repeats", "upgrade",
    )  # fmt: skip

    def __init__(self, service: Keeper) -> None:
        super().__init__(service)
        self.upgrade = False  # the client wants another protocol
        self.line: fields.Line | None = None  # the request line, if it is one that was met before
        self.repeats = False  # the fields are those of the request before
        self._block = b""  # the fields of the last request, as they came
        self._scanned = 0  # bytes of `pending` that were looked at for the end of a head
        self._flags = 0  # fields met that frame the message, and their values
        self._length = self._connection = self._coding = self._expect = b""
        self._pumping = False
        self._chunks: Chunks | None = None

    # -- what a subclass does ----------------------------------------------------------------------------------------

    def _read_fields(self, block: bytes) -> None:
        """Take in the fields of a head, lines without the last end; llhttp has passed them."""
        raise NotImplementedError

    def _again(self, line: "fields.Line") -> bool:
        """A request without a body, whose fields are those of the one before to the byte. False: it must be parsed."""
        raise NotImplementedError

    def _first(self, line: "fields.Line", block: bytes) -> bool:  # noqa: ARG002
        """The same for the first of a connection, and the fields with which others began."""
        return False

    def _start(self, *, body: bool) -> None:
        """The head is whole and good; a body follows or not."""
        raise NotImplementedError

    def _content(self, piece: bytes) -> None:
        """A piece of the body."""
        raise NotImplementedError

    def _end(self) -> None:
        """The request is whole."""
        raise NotImplementedError

    # -- framing ------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.phase == IDLE:
            if not self.pending and not self.stalled:
                # The usual cases: one request, whole, with nothing behind it; its fields those of the one before.
                end = data.find(b"\r\n")
                line = fields.LINES.get(data[:end])
                if line is not None:
                    block = data[end:]
                    if self._again(line) if block == self._block else not self._block and self._first(line, block):
                        return
                if data.find(b"\r\n\r\n", end) == len(data) - 4 and end > 0:
                    self._take(data, line)
                    return
        elif self.phase == BODY and not self.pending:
            self._more_body(data)
            return
        elif self.phase >= LINGER:
            self._drop(data)
            return
        self.pending += data
        if self.phase <= BODY and not self.stalled:  # looked at again: a thread may have answered just now
            self._pump()
        elif len(self.pending) > BEHIND and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def _more_body(self, data: bytes) -> None:
        try:
            self._take_body(data)
        except Refused as refused:
            self.refuse(refused.status, str(refused))
        if self.pending:
            self._pump()

    def _pump(self) -> None:
        """Work through what is pending, one request after the other, until one of them has to wait."""
        if self._pumping:
            return  # called from within: the loop in `_work` goes on
        self._pumping = True
        try:
            self._work()
        except Refused as refused:
            self.refuse(refused.status, str(refused))
        finally:
            self._pumping = False
        if self._paused and not self.full and self.phase != BUSY and len(self.pending) <= BEHIND:
            self.resume_reading()
        if self._eof and self.phase < BUSY and not self.stalled and not self._deferred:
            self.close()

    def _work(self) -> None:
        began = 0
        while self.pending and not self.stalled:
            if self.phase <= HEAD:
                if not began:
                    began = monotonic_ns()
                elif monotonic_ns() - began > TURN:
                    self._defer()
                    break
                if not self._next_head():
                    break
            elif self.phase == BODY:
                data = bytes(self.pending)
                self.pending.clear()
                self._take_body(data)
            else:
                break

    def _defer(self) -> None:
        """A pipeline of thousands is one client's; others have their turn in between."""
        if not self._deferred:
            self._deferred = True
            self.service.loop.call_soon(self._resume)
        if len(self.pending) > BEHIND:
            self.pause_reading()

    def _resume(self) -> None:
        self._deferred = False
        if self.phase <= BODY and not self.stalled:
            self._pump()

    def _next_head(self) -> bool:
        """Take the next head if it is here; otherwise see whether it may still become one."""
        pending = self.pending
        if self.phase == IDLE:
            self.phase, self.since, self._scanned = HEAD, monotonic_ns(), 0
        while pending[:2] == b"\r\n":  # RFC 9112 section 2.2: an empty line before a request is ignored
            del pending[:2]
            self._scanned = 0
        end = pending.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end < 0:
            if len(pending) > 1 or pending[:1] != b"\r":
                fields.check_partial(pending, self._scanned)
            since, self._scanned = self._scanned, len(pending)
            if self._scanned > self.service.limits.line + 1:  # the CR may be here, and the LF not yet
                self._check_growing(pending, since)
            return False
        self._scanned = 0
        head = bytes(pending[: end + 4])
        del pending[: end + 4]
        self._take(head, fields.LINES.get(head[: head.find(b"\r\n")]))
        return True

    def _check_growing(self, pending: bytearray, since: int) -> None:
        """Hold a head that has no end yet against the limits; `pending[since:]` is new."""
        limits = self.service.limits
        first = pending.find(b"\r\n", 0, limits.line + 2)
        if first < 0:
            raise Refused(414, f"a request line longer than {limits.line} bytes (limit_request_line)")
        begun = max(first + 2, pending.rfind(b"\n", 0, since) + 1)  # of the line that was growing
        *lines, last = pending[begun:].split(b"\r\n")
        longest = max(map(len, [*lines, last.removesuffix(b"\r")]))
        if longest > limits.field_size or len(pending) > limits.head:
            raise Refused(431, "a header field or a head beyond the limits")

    def _take(self, head: bytes, line: fields.Line | None) -> None:
        """A whole head: look at the request line, have llhttp find the fields, decide where the message ends."""
        service = self.service
        try:
            self.line = line
            if line is not None:
                self.method, self.target, self.http11, self.keep = line.method, line.target, True, True
            else:
                self._request_line(head[: head.find(b"\r\n")])
            if len(head) > service.harmless or head.count(b"\n") > service.most_lines:
                limits = service.limits
                fields.check_sizes(head, line=limits.line, fields=limits.fields, field_size=limits.field_size)
            self._check(head)
            self.upgrade = False
            end = head.find(b"\r\n")
            self._read_fields(head[end + 2 : -4])
            if self._flags:
                self._block = b""
                self._frame()
            else:
                block = head[end:] if len(head) <= REMEMBERED else b""
                self.repeats = self.http11 and block == self._block != b""
                self._block = block
                self._start(body=False)
        except Refused as refused:
            self.refuse(refused.status, str(refused))
        except httptools.HttpParserError as error:
            self._not_http(error)

    def _request_line(self, line: bytes) -> None:
        try:
            method, target, version = line.split(b" ")
        except ValueError:
            method = target = version = b""
        if version != b"HTTP/1.1":
            method, target, version = fields.parse_line(line)
        if not method.isalpha():
            fields.check_method(method)
        self.http11 = self.keep = version == b"HTTP/1.1"
        self.method, self.target = method, target

    def _check(self, head: bytes) -> None:
        """Have llhttp read it. A parser of its own for each head: nothing of one client can reach another."""
        try:
            httptools.HttpRequestParser(_SILENT).feed_data(head)
        except httptools.HttpParserUpgrade:
            # RFC 9110 section 7.8: an upgrade that we do not make is ignored; the request itself is good.
            if self.method == b"CONNECT":
                raise Refused(501, "CONNECT") from None

    def _not_http(self, error: httptools.HttpParserError) -> None:
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            self.refuse(501, f"method {self.method[:20]!r}")
        else:  # the coding is one that nobody knows: RFC 9112 section 6.1
            self.refuse(501 if "Request has invalid `Transfer-Encoding`" in str(error) else 400, str(error))

    def _framing_field(self, flag: int, value: bytes) -> None:
        """A field that decides where the message ends."""
        if flag == fields.CONNECTION and self.http11:  # the usual words need no second look
            word = value.lower()
            if word == b"keep-alive":
                return
            if word == b"close":
                self.keep = False
                return
        repeated = self._flags & flag
        self._flags |= flag
        match flag:
            case fields.LENGTH:
                if repeated:
                    raise Refused(400, "a repeated Content-Length")
                self._length = value
            case fields.CODING:
                if repeated or value.lower() != b"chunked":
                    raise Refused(400 if repeated else 501, f"Transfer-Encoding {value[:40]!r}")
                self._coding = value
            case fields.CONNECTION:
                self._connection = self._connection + b"," + value if repeated else value
            case fields.EXPECT:
                self._expect = self._expect + b"," + value if repeated else value

    def _frame(self) -> None:
        """RFC 9112 section 6.3, in the order of its rules, without their lenience."""
        flags, self._flags = self._flags, 0
        if flags & fields.CONNECTION:
            words = {word.strip(b" \t") for word in self._connection.lower().split(b",")}
            self.keep = (self.keep if self.http11 else b"keep-alive" in words) and b"close" not in words
            self.upgrade = bool(flags & fields.UPGRADE) and b"upgrade" in words
        chunked = flags & fields.CODING
        if chunked and (flags & fields.LENGTH or not self.http11):
            raise Refused(400, "Transfer-Encoding with Content-Length or from a 1.0 client")
        left = int(self._length) if flags & fields.LENGTH else 0
        limit = self.service.limits.body
        if limit and left > limit:
            raise Refused(413, f"a body of {left} bytes (limit_request_body is {limit})")
        expected = flags & fields.EXPECT
        if expected and self.http11 and self._expect.lower() != b"100-continue":
            raise Refused(417, f"Expect: {self._expect[:40]!r}")
        if not chunked and not left:
            self._start(body=False)
            return
        self._chunks = Chunks() if chunked else None
        self._left, self.size = left, 0
        self.phase, self.since = BODY, monotonic_ns()
        self._start(body=True)
        if expected and self.http11 and not self.pending and self.phase == BODY:
            self._invite()

    def _invite(self) -> None:
        """The client asked whether it may send the body (RFC 9110 section 10.1.1)."""
        self.sent += len(CONTINUE)
        self.transport.write(CONTINUE)

    def _take_body(self, data: bytes) -> None:
        if self._chunks is not None:
            pieces, rest = self._chunks.feed(data)
            done = self._chunks.done
        else:
            pieces, rest = [data[: self._left]], data[self._left :]
            self._left -= len(pieces[0])
            done = not self._left
        if rest:
            self.pending[:0] = rest
        if pieces:
            piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)  # a thousand small ones cost more than one
            self.size += len(piece)
            limit = self.service.limits.body
            if limit and self.size > limit:
                raise Refused(413, f"a body longer than {limit} bytes (limit_request_body)")
            self._content(piece)
        if done:
            self._chunks = None
            self._end()

    def answered(self) -> None:
        """The response is complete. Go on with the next request, or close."""
        if self.phase == CLOSED:
            return
        if self.phase == BODY:  # answered before the request was whole: what follows cannot be trusted
            self.linger()
            return
        self.since = monotonic_ns()
        if not self.keep:
            self.close()
            return
        self.phase = IDLE
        if (self.pending or self._paused or self._eof) and not self._pumping:
            self._pump()
