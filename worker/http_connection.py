"""One HTTP/1.1 connection: framing, keep-alive, pipelining in order, limits. What a request means is the subclass's.

It reads a head whole, has llhttp take it apart, then hands over the body piece by piece. What is behind a request
waits unparsed until the request is answered, so a pipeline costs its bytes and nothing more. RFC 9112.
Can go wrong: whatever a client sends. It is answered with the status that says so and the connection is closed;
nothing a client does raises.
"""

import asyncio
import socket
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

import httptools

from forkful.worker import http_fields as fields
from forkful.worker import http_response as response
from forkful.worker.http_chunks import Chunks
from forkful.worker.http_fields import Refused

if TYPE_CHECKING:
    from forkful.worker.http_service import HttpService

# Where a connection is. Plain numbers, because one is compared with every piece that comes.
IDLE, HEAD, BODY, BUSY, LINGER, CLOSED = range(6)

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
BEHIND: Final = 65_536  # bytes that may wait behind the request being answered before we stop reading
LINGER_BYTES: Final = 1_048_576  # what is read and dropped after an answer that came before the request's end
LINGER_SECONDS: Final = 2
READ_SECONDS: Final = 60  # a client that reads nothing of its answer for so long is given up
_SECOND: Final = 1_000_000_000


class HttpConnection(asyncio.Protocol):
    """One client. `phase` says what its next bytes are, `since` (monotonic ns) when that began."""

    __slots__ = (
        "_block", "_chunks", "_coding", "_connection", "_eof", "_expect", "_flags", "_left", "_length", "_parser", "_paused", "_pumping",
        "_scanned", "_unsent", "accounted", "full", "http11", "keep", "method", "pending", "phase", "received", "repeats", "sent", "service", "since", "size",
        "stalled", "target", "transport", "upgrade",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, service: "HttpService") -> None:
        self.service = service
        self.phase = IDLE
        self.since = monotonic_ns()
        self.keep = True
        self.http11 = True
        self.received = self.sent = 0  # bytes
        self.accounted = (0, 0)  # those that are on the scoreboard
        self.pending = bytearray()  # not looked at yet
        self.stalled = False  # the peer does not read: our answers wait in the transport
        self.method = self.target = b""
        self.size = 0  # of the body so far
        self._scanned = 0
        self._flags = 0
        self._paused = self._pumping = self._eof = False
        self.full = False  # a subclass has taken all of the body that it wants for now
        self.upgrade = False  # the client wants another protocol
        self._unsent = (0, 0)
        self._block = b""  # the fields of the last request, as they came
        self.repeats = False  # they are those of the request before
        self._chunks: Chunks | None = None
        self._left = 0
        self._length = self._connection = self._coding = self._expect = b""
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)

    # -- what a subclass does ----------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser found a field."""
        raise NotImplementedError

    def _fresh(self) -> None:
        """A head is about to be parsed."""
        raise NotImplementedError

    def _again(self, line: "fields.Line") -> bool:
        """A request without a body, whose fields are those of the one before to the byte. False: it must be parsed."""
        raise NotImplementedError

    def _start(self, *, body: bool) -> None:
        """The head is whole and good; a body follows or not."""
        raise NotImplementedError

    def _content(self, piece: bytes) -> None:
        """A piece of the body."""
        raise NotImplementedError

    def _end(self) -> None:
        """The request is whole."""
        raise NotImplementedError

    def _gone(self) -> None:
        """The client is gone."""
        raise NotImplementedError

    # -- the transport's side ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # it is one; typeshed says no more than the base
        self.transport.set_write_buffer_limits(high=0)  # `stalled` is exact: there is something unsent
        self.service.opened(self)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.phase == IDLE:
            if not self.pending and not self.stalled:
                # The usual cases: one request, whole, with nothing behind it; its fields those of the one before.
                end = data.find(b"\r\n")
                line = fields.LINES.get(data[:end])
                if line is not None and data[end:] == self._block and self._again(line):
                    return
                if data.find(b"\r\n\r\n", end) == len(data) - 4 and end > 0:
                    self._take(data)
                    return
        elif self.phase == BODY and not self.pending:
            try:
                self._take_body(data)
            except Refused as refused:
                self.refuse(refused.status, str(refused))
            if self.pending:
                self._pump()
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

    def eof_received(self) -> bool:
        """The client has no more to say. It may still listen, so an answer on its way is finished."""
        self._eof = True
        return self.phase == BUSY or (self.stalled and bool(self.pending))

    def pause_writing(self) -> None:
        self.stalled = True

    def resume_writing(self) -> None:
        self.stalled = False
        if self.phase <= BODY:
            self._pump()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        before = self._mark_closed()
        self.stalled = False
        self.pending = bytearray()
        self.service.closed(self)
        if before in (BODY, BUSY):
            self._gone()
        self._parser = None

    def _mark_closed(self) -> int:
        before, self.phase = self.phase, CLOSED
        return before

    # -- framing -----------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Work through what is pending, one request after the other, until one of them has to wait."""
        if self._pumping:
            return  # called from within: the loop below goes on
        self._pumping = True
        try:
            while self.pending and not self.stalled:
                if self.phase <= HEAD:
                    if not self._next_head():
                        break
                elif self.phase == BODY:
                    data = bytes(self.pending)
                    self.pending.clear()
                    self._take_body(data)
                else:
                    break
        except Refused as refused:
            self.refuse(refused.status, str(refused))
        finally:
            self._pumping = False
        if self._paused and not self.full and self.phase != BUSY and len(self.pending) <= BEHIND:
            self.resume_reading()
        if self._eof and self.phase < BUSY and not self.stalled:
            self.close()

    def resume_reading(self) -> None:
        if self._paused and self.phase != CLOSED:
            self._paused = False
            self.transport.resume_reading()

    def pause_reading(self) -> None:
        if not self._paused and self.phase != CLOSED:
            self._paused = True
            self.transport.pause_reading()

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
            self._scanned = len(pending)
            limits = self.service.limits
            if self._scanned > limits.line:
                self._check_growing(pending)
            return False
        self._scanned = 0
        head = bytes(pending[: end + 4])
        del pending[: end + 4]
        self._take(head)
        return True

    def _check_growing(self, pending: bytearray) -> None:
        limits = self.service.limits
        if pending.find(b"\r\n", 0, limits.line + 2) < 0:
            raise Refused(414, f"a request line longer than {limits.line} bytes (limit_request_line)")
        if len(pending) - pending.rfind(b"\n") > limits.field_size + 3 or len(pending) > limits.head:
            raise Refused(431, "a header field or a head beyond the limits")

    def _take(self, head: bytes) -> None:
        """A whole head: look at the request line, have llhttp find the fields, decide where the message ends."""
        service = self.service
        try:
            method, target, version = head[: head.find(b"\r\n")].split(b" ")
        except ValueError:
            method = target = version = b""
        try:
            if version != b"HTTP/1.1":
                method, target, version = fields.parse_line(head[: head.find(b"\r\n")])
            self.http11 = self.keep = version == b"HTTP/1.1"
            if len(head) > service.harmless or head.count(b"\n") > service.most_lines:
                limits = service.limits
                fields.check_sizes(head, line=limits.line, fields=limits.fields, field_size=limits.field_size)
            if b" \r" in head or b"\t\r" in head:
                head = fields.without_trailing_space(head)
            self.method, self.target = method, target
            self.upgrade = False
            self._fresh()
            self._parse(head)
            if self._flags:
                self._block = b""
                self._frame()
            else:
                block = head[head.find(b"\r\n") :]
                self.repeats = self.http11 and block == self._block
                self._block = block
                self._start(body=False)
        except Refused as refused:
            self.refuse(refused.status, str(refused))
        except httptools.HttpParserError as error:
            self._not_http(error)

    def _parse(self, head: bytes) -> None:
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            # RFC 9110 section 7.8: an upgrade that we do not make is ignored; the request itself is good.
            self._parser = None
            if self.method == b"CONNECT":
                raise Refused(501, "CONNECT") from None

    def _not_http(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, Refused):
            self.refuse(cause.status, str(cause))
        elif isinstance(error, httptools.HttpParserInvalidMethodError):
            self.refuse(501, f"method {self.method[:20]!r}")
        else:
            self.refuse(400, str(error))

    def _framing_field(self, flag: int, value: bytes) -> None:
        """The parser met a field that decides where the message ends."""
        if flag == fields.CONNECTION and self.http11 and value.lower() == b"keep-alive":
            return  # it says nothing new, so the request may be one that repeats
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
                self._expect = value

    def _frame(self) -> None:
        """RFC 9112 section 6.3, in the order of its rules, without their lenience."""
        flags, self._flags = self._flags, 0
        if flags & fields.CONNECTION:
            words = {word.strip(b" \t") for word in self._connection.lower().split(b",")}
            self.keep = b"close" not in words and (self.http11 or b"keep-alive" in words)
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
            if flags & fields.LENGTH:
                self._parser = self._parser if not left else None
            self._start(body=False)
            return
        self._parser = None  # llhttp would wait for the body, which we frame
        self._chunks = Chunks() if chunked else None
        self._left, self.size = left, 0
        self.phase, self.since = BODY, monotonic_ns()
        self._start(body=True)
        if expected and self.http11 and not self.pending and self.phase == BODY:
            self._invite()

    def _invite(self) -> None:
        """The client asked whether it may send the body (RFC 9110 section 10.1.1)."""
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
        for piece in pieces:
            self.size += len(piece)
            self._content(piece)
        limit = self.service.limits.body
        if limit and self.size > limit:
            raise Refused(413, f"a body longer than {limit} bytes (limit_request_body)")
        if done:
            self._chunks = None
            self._end()

    # -- the end of an exchange --------------------------------------------------------------------------------------

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

    def refuse(self, code: int, why: str) -> None:
        """Answer with an error of ours and close; count it."""
        if self.phase >= LINGER:
            return
        if self.phase == BODY:
            self._gone()
        self.service.refused(self, code, why)
        body = response.simple(self.service.stamp, code, head_only=self.method == b"HEAD")
        self.sent += len(body)
        self.transport.write(body)
        self.linger()

    def linger(self) -> None:
        """Close so that the client can still read the answer: a close with unread bytes would reset the connection."""
        self.phase, self.since, self._left = LINGER, monotonic_ns(), LINGER_BYTES
        self.pending.clear()
        if self._eof:
            self.transport.close()
            return
        self.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def close(self) -> None:
        """Close in peace once everything is sent."""
        if (self.pending or self._paused) and not self._eof:
            self.linger()
        elif self.phase < LINGER:
            self.phase, self.since = LINGER, monotonic_ns()
            self.transport.close()

    def abort(self) -> None:
        """Close so that the client sees that the answer is not whole."""
        self.phase = LINGER if self.phase != CLOSED else CLOSED
        self.transport.abort()

    def _drop(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0 and self.phase == LINGER:
            self.transport.abort()

    def overdue(self, now: int) -> int:
        """Look at the clock; act if the client took too long. Returns the next deadline (monotonic ns), 0: none."""
        limits = self.service.limits
        match self.phase:
            case 0:  # IDLE
                deadline = self.since + int(limits.keep_alive * _SECOND)
                if now >= deadline:
                    self.close()
            case 1:  # HEAD
                deadline = self.since + int(limits.header_timeout * _SECOND)
                if now >= deadline:
                    self.refuse(408, "the head took too long")
            case 2:  # BODY
                if self._paused:
                    return 0
                deadline = self.since + int((limits.body_timeout + self.size / limits.body_rate) * _SECOND)
                if now >= deadline:
                    self.refuse(408, "the body took too long")
            case 4 if not self.stalled:  # LINGER
                deadline = self.since + LINGER_SECONDS * _SECOND
                if now >= deadline:
                    self.transport.abort()
            case 5:  # CLOSED
                return 0
            case _:
                return self._reads_on(now)
        return deadline

    def _reads_on(self, now: int) -> int:
        """Whether a client that has not read all of its answer gets on with it at all."""
        if not self.stalled:
            return 0
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent[1]:
            self._unsent = now, unsent
        deadline = self._unsent[0] + READ_SECONDS * _SECOND
        if now >= deadline:
            self.abort()
        return deadline

    # -- for the log -------------------------------------------------------------------------------------------------

    def remote(self) -> str:
        """The client's address, as trusted proxies have it where they say so."""
        address = self.transport.get_extra_info("peername")
        return str(address[0]) if isinstance(address, tuple) else ""

    def field(self, name: str) -> str:
        """A field of the request, or ""; for the log only."""
        raise NotImplementedError

    def request_line(self) -> str:
        return f"{self.method.decode('latin-1')} {self.target[:200].decode('latin-1')!r}"

    def peer(self) -> str:
        """The client's address in words."""
        address = self.transport.get_extra_info("peername")
        if isinstance(address, tuple):
            return f"{address[0]}:{address[1]}"
        sock: socket.socket | None = self.transport.get_extra_info("socket")
        return "unix" if sock is not None and sock.family == socket.AF_UNIX else "a client"
