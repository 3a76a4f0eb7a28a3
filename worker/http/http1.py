"""One HTTP/1.1 connection: framing, keep-alive, pipelining in order, limits, and how it ends. RFC 9112.

It reads a head whole, has llhttp take it apart, and hands the request to its gateway, which opens an exchange for it;
then it hands that the body piece by piece. What is behind a request waits unparsed until the request is answered, so a
pipeline costs its bytes and nothing more.
Can go wrong: whatever a client sends, or that it goes away. A mistake is answered with the status that says so and the
connection is closed; nothing a client does raises.
"""

import asyncio
from time import monotonic_ns
from typing import Final

from forkful.worker.eventloop.brief_transport import is_unread
from forkful.worker.http import clock, fields, response
from forkful.worker.http.chunks import Chunks
from forkful.worker.http.fields import Refused
from forkful.worker.http.outgoing import Outgoing
from forkful.worker.http.request import Fields, Glimpse, Request, aim, check_head, check_host, read_line
from forkful.worker.http.wire import BEHIND, BODY, BUSY, CLOSED, HEAD, IDLE, LINGER, Gateway, Keeper, Subject
from forkful.worker.net.accepted import Accepted

REMEMBERED: Final = 4096  # bytes of a head whose fields may be recognized when they come again
TURN = 20_000_000  # ns that the requests of one client may take before others have their turn
LINGER_BYTES = 1_048_576  # of what is no body, read after the last answer
EMPTY_BYTES: Final = 64  # of lines before a request that are ignored: some clients send one behind a body
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_UNLIMITED: Final = 1 << 62
_TOO_LARGE: Final = 413


class HttpConnection(Outgoing):
    """One client. `phase` says what its next bytes are, `since` (monotonic ns) when that began."""

    __slots__ = (  # noqa: RUF023  # in groups
        # of the connection
        "_left", "_paused_at", "_pumping", "_until", "accounted", "asked", "deferred", "ended", "gateway", "paused",
        "pending", "phase", "received", "since",
        # of the request
        "_block", "_chunks", "_empty", "_known", "_scanned", "full", "keep", "size",
    )  # fmt: skip

    def __init__(self, service: Keeper, gateway: Gateway, accepted: Accepted | None = None) -> None:
        super().__init__(service, accepted)
        self.gateway = gateway
        self.phase = IDLE
        self.since = monotonic_ns()
        self.received = 0  # bytes
        self.accounted = (0, 0)  # those that are on the scoreboard
        self.pending = bytearray()  # not looked at yet
        self.asked = False  # it made a request before
        self.ended = False  # the client has closed its side
        self.paused = False  # we do not read
        self._paused_at = 0
        self.deferred = False  # what is pending has its turn when others have had theirs
        self.keep = True  # the connection lives on after this request
        self.full = False  # the exchange has taken all of the body that it wants for now
        self.size = 0  # of the body so far
        self._left = 0  # of the body; of what is dropped at the end
        self._until = 0  # when to stop reading what is dropped
        self._pumping = False
        self._scanned = 0  # bytes of `pending` that were looked at for the end of a head
        self._empty = 0  # bytes of empty lines before the head
        self._block = b""  # the fields of the last head, as they came
        self._known: Request | None = None  # the request that had them, if they came twice
        self._chunks: Chunks | None = None

    # -- the transport's side ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # it is one; typeshed says no more than the base
        address = transport.get_extra_info("peername") if self.accepted is None else self.accepted.peer
        if type(address) is tuple:
            self.host, self.port = address[0], str(address[1])
        self.transport.set_write_buffer_limits(high=0)  # `stalled` is exact: there is something unsent
        self.service.opened(self)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.phase == IDLE:
            if not self.pending and not self.stalled:
                # The usual cases: one request, whole, with nothing behind it; its fields those of the one before.
                end = data.find(b"\r\n")
                line = fields.LINES.get(data[:end])
                known = self._known
                if line is not None and known is not None and data[end:] == self._block:
                    self._begin(known if known.line is line else Request(line, known.fields, line.target))
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
        if self.phase <= BODY and not self.stalled:
            self._pump()
        elif len(self.pending) > BEHIND:
            self.pause_reading()

    def eof_received(self) -> bool:
        """The client has no more to say. It may still listen, so an answer on its way is finished."""
        self.ended = True
        if self.exchange is not None and self.phase == BUSY:
            return self.exchange.hang_up()
        return (self.stalled or self.deferred) and bool(self.pending)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.phase == IDLE:
            self.since = monotonic_ns()  # it has its answer only now
        if self.phase <= BODY:
            self._pump()

    def connection_lost(self, error: Exception | None) -> None:
        self.phase = CLOSED
        super().connection_lost(error)
        self.pending = bytearray()
        self.service.closed(self)
        self._part()

    def _part(self) -> None:
        """The exchange goes on without us, or not at all."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.disconnect()

    def resume_reading(self) -> None:
        if self.paused and self.phase != CLOSED:
            self.paused = False
            if self.phase == BODY:
                self.since += monotonic_ns() - self._paused_at  # the client's time stood still
            self.transport.resume_reading()

    def pause_reading(self) -> None:
        if not self.paused and self.phase != CLOSED:
            self.paused, self._paused_at = True, monotonic_ns()
            self.transport.pause_reading()

    # -- framing -----------------------------------------------------------------------------------------------------

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
        if self.paused and not self.full and self.phase != BUSY and len(self.pending) <= BEHIND:
            self.resume_reading()
        if self.ended and self.phase < BUSY and not self.stalled and not self.deferred:
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
        if not self.deferred:
            self.deferred = True
            self.service.loop.call_soon(self._resume)
        if len(self.pending) > BEHIND:
            self.pause_reading()

    def _resume(self) -> None:
        self.deferred = False
        if self.phase <= BODY and not self.stalled:
            self._pump()

    def _next_head(self) -> bool:
        """Take the next head if it is here; otherwise see whether it may still become one."""
        pending = self.pending
        if self.phase == IDLE:
            self.phase, self.since, self._scanned = HEAD, monotonic_ns(), 0
        if pending[:2] == b"\r\n":  # RFC 9112 section 2.2: an empty line before a request is ignored
            self._empty += fields.skip_empty_lines(pending)
            self._scanned = 0
            if self._empty > EMPTY_BYTES:
                raise Refused(400, "too many empty lines")
        end = pending.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end < 0:
            if len(pending) > 1 or pending[:1] != b"\r":
                fields.check_partial(pending, self._scanned)
            since, self._scanned = self._scanned, len(pending)
            limits = self.service.limits
            if self._scanned > limits.harmless:
                fields.check_growing(pending, since, limits)
            return False
        self._scanned = self._empty = 0
        head = bytes(pending[: end + 4])
        del pending[: end + 4]
        self._take(head, fields.LINES.get(head[: head.find(b"\r\n")]))
        return True

    def _take(self, head: bytes, line: fields.Line | None) -> None:
        """A whole head: look at the request line, have llhttp pass the fields, begin."""
        service = self.service
        end = head.find(b"\r\n")
        try:
            first = b""
            if line is not None:
                method, target, http11 = line.method, line.target, True
            else:
                first = head[:end]
                method, target, http11 = read_line(first)
            if len(head) > service.harmless or head.count(b"\n") > service.most_lines:
                fields.check_sizes(head, service.limits)
            check_head(head, method)
            found = Fields(http11=http11)
            # Where there are none, mypyc takes `head[end + 2 : -4]`, which ends before it begins, for a mistake.
            self.gateway.read_fields(head[end + 2 : -4] if len(head) > end + 4 else b"", found)
            found.settle(service.limits.body)
            if line is not None:
                check_host(found)
                request = Request(line, found, target)
            else:
                request = aim(first, method, target, found)
            block = head[end:]
            if block != self._block:
                self._known = None
                self._block = block if len(head) <= REMEMBERED and found.plain and http11 else b""
            elif http11 and not request.named:
                self._known, found.shared = request, True
            self._begin(request)
        except Refused as refused:
            self.refuse(refused.status, str(refused), head)

    def _begin(self, request: Request) -> None:
        """The head is good: have it answered."""
        found = request.fields
        self.keep, self.asked = found.keep, True
        if found.chunked or found.length:
            self._chunks = Chunks() if found.chunked else None
            self._left, self.size = found.length, 0
            self.phase, self.since = BODY, monotonic_ns()
        else:
            self.phase = BUSY
        exchange = self.exchange = self.gateway.open(self, request)
        if exchange is None:
            return
        exchange.begin()
        if found.expects and not self.pending and self.phase == BODY:
            exchange.invite()

    def invite(self) -> None:
        """Tell the client to send its body (RFC 9110 section 10.1.1)."""
        self.write(CONTINUE)

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
        exchange = self.exchange
        if pieces:
            piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)  # a thousand small ones cost more than one
            self.size += len(piece)
            limit = self.service.limits.body
            if limit and self.size > limit:
                raise Refused(413, f"a body longer than {limit} bytes (limit_request_body)")
            if exchange is not None:
                exchange.feed(piece)
        if done:
            self._chunks = None
            self.phase = BUSY
            if exchange is not None:
                exchange.end_of_body()

    # -- the answer --------------------------------------------------------------------------------------------------

    def answered(self) -> None:
        """The response is complete. Go on with the next request, or close."""
        self.exchange = None
        self.full = False
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
        if (self.pending or self.paused or self.ended) and not self._pumping:
            self._pump()

    # -- the end -----------------------------------------------------------------------------------------------------

    def refuse(self, code: int, why: str, head: bytes = b"") -> None:
        """Answer with an error of ours and close; count it. `head`: of the request, if it is no longer pending."""
        if self.phase >= LINGER:
            return
        subject: Subject = Glimpse(head or bytes(self.pending[:REMEMBERED]), self.host)
        exchange = self.exchange
        counted = False
        if exchange is not None:
            subject = exchange
            counted = not exchange.started and exchange.refused(code)
            self._part()
            if exchange.started:
                self.abort()
                return
        if not counted:
            self.service.refused(self, subject, code, why)
        self.write(response.simple(self.service.stamp, code, head_only=subject.method == b"HEAD"))
        self.linger(body=code == _TOO_LARGE)

    def linger(self, *, body: bool = False) -> None:
        """Close so that the client can still read the answer: a close with unread bytes would reset the connection."""
        self._left = _UNLIMITED if body or self.phase == BODY else LINGER_BYTES
        self.phase, self.since = LINGER, monotonic_ns()
        self._until = self.since + clock.LINGER_LONGEST * clock.SECOND
        self.pending.clear()
        if self.ended:
            self.transport.close()
            return
        self.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def close(self) -> None:
        """Close in peace once everything is sent."""
        if (self.pending or self.paused or is_unread(self.transport)) and not self.ended:
            self.linger()
        elif self.phase < LINGER:
            self.phase, self.since = LINGER, monotonic_ns()
            self.transport.close()

    def abort(self) -> None:
        self.phase = LINGER if self.phase != CLOSED else CLOSED
        if self.exchange is not None and not self.exchange.http11:
            self.reset()  # its answer may end where the connection does, so only an error says that it does not
        else:
            super().abort()

    def _drop(self, data: bytes) -> None:
        self._left -= len(data)
        self.since = min(monotonic_ns(), self._until - clock.LINGER_SECONDS * clock.SECOND)
        if self._left < 0 and self.phase == LINGER:
            self.transport.abort()

    def overdue(self, now: int) -> int:
        return clock.overdue(self, now)
