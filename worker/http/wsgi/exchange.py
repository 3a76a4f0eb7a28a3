"""One request of a WSGI application and its answer (PEP 3333): a thread calls it, the loop reads and writes.

The usual answer, a list with one piece, leaves in one write with its head. A thread that produces a long answer waits
for a client that is slow to read it; once the last piece is handed over, the thread is free.
Can go wrong: the application raises: 500 if nothing was sent yet, otherwise the connection is cut, so that half an
answer never looks whole. The client goes away: the iterable is closed and the request counted as reset.
"""

import os
from collections.abc import Callable, Iterable
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

from forkful.handlers.wsgi import FileWrapper
from forkful.worker.http import response
from forkful.worker.http.access_log import LEFT, request_line
from forkful.worker.http.asked import outcome_of
from forkful.worker.http.fields import Refused
from forkful.worker.http.wsgi.body import WHOLE, Body
from forkful.worker.http.wsgi.call import Call, length_if_alone
from forkful.worker.http.wsgi.outbox import Outbox
from forkful.worker.http.wsgi.sendable import sendable
from forkful.worker.ipc.scoreboard import ERROR, RESET, SINCE, STARTED

if TYPE_CHECKING:
    import threading


JOINED: Final = 65_536  # a body up to this is copied behind its head, so that both leave in one write


class WsgiExchange(Call):
    """One call. What most calls never set has its value in the class."""

    gone = False  # the client is: nothing more goes
    _asked = False  # a thread was told to call it
    _head_sent = False
    _chunked = False
    _status: str | None = None
    _refused = 0  # the status of ours, in place of its answer
    _result: Iterable[bytes] | None = None
    _body: Body | None = None
    _outbox: Outbox | None = None  # of an answer that leaves in several pieces
    _row: "memoryview[int]"
    _lock: "threading.Lock | None" = None

    # -- in the loop: what the connection says -----------------------------------------------------------------------

    def begin(self) -> None:
        fields = self._request.fields
        if not fields.chunked and not fields.length:
            self._service.put(self)
            return
        service = self._service
        self._body = Body(self._connection, service, self._wait)
        waits = fields.expects and not fields.chunked
        if waits and not self._connection.pending:
            self._body.hold()
        if waits or fields.length > WHOLE or service.budget.spent:
            self._ask()

    def _ask(self) -> None:
        """Have a thread call the application, whatever of the body is here."""
        body = self._body
        assert body is not None
        self._asked = True
        self.environ["wsgi.input"] = body.ask()
        self._service.put(self)

    def feed(self, piece: bytes) -> None:
        body = self._body
        assert body is not None
        try:
            body.feed(piece)
        except OSError as error:
            self._service.failed(self._connection, error, "cannot keep the body of", request_line(self))
            raise Refused(500, f"cannot keep the body: {error}") from error
        if not self._asked and self._service.budget.spent:
            if self._request.fields.chunked:
                what = (
                    f"the body of {request_line(self)} is more than may wait, and has no length: WSGI is not told any"
                )
                self._service.complain(self._connection, what)
            self._ask()

    def end_of_body(self) -> None:
        body = self._body
        assert body is not None
        body.end()
        if self._asked:
            return
        environ = self.environ
        if "HTTP_TRANSFER_ENCODING" in environ:  # the coding is undone, so the length is known now
            del environ["HTTP_TRANSFER_ENCODING"]
            environ["CONTENT_LENGTH"] = str(body.size)
        self._ask()

    def invite(self) -> None:
        """Not before the application reads, unless the length has to be known before it is asked."""
        if not self._asked:
            self._connection.invite()

    def hang_up(self) -> bool:
        return True

    def resume(self) -> None:
        if self._outbox is not None:
            self._outbox.resume()

    def refused(self, code: int) -> bool:
        self._refused = code
        return self._asked

    def disconnect(self) -> None:
        self.gone = True
        if self._body is not None:
            self._body.disconnect()
            if not self._asked:
                self._release()
        if self._outbox is not None:
            self._outbox.disconnect()

    @property
    def started(self) -> bool:
        return self._head_sent

    # -- in the loop: what the thread has posted ---------------------------------------------------------------------

    def _deliver(self, data: bytes) -> None:
        if not self.gone:
            self._connection.write(data)

    def _deliver_last(self, data: bytes) -> None:
        self._release()
        if not self.gone:
            if data:
                self._connection.write(data)
            self._connection.answered()

    def _release(self, _: object = None) -> None:
        """The call is over: what is left of the body is nobody's, and nothing here refers to us."""
        self._outbox = None
        if self._body is not None:
            self._body.release()
            self._body = None

    def _cut(self, _: None) -> None:
        """Half an answer was sent: the client must see that it is not whole."""
        if not self.gone:
            self._connection.abort()

    def _send_file(self, span: tuple[int, int, int]) -> None:
        """The call itself is over; `span` begins with a descriptor of our own."""
        self._release()
        if self.gone:
            os.close(span[0])
        else:
            self._connection.send_file(*span)

    def file_sent(self, error: BaseException | None) -> None:
        connection = self._connection
        if error is not None:
            connection.keep = False
            connection.abort()
        connection.answered()

    # -- in the thread -----------------------------------------------------------------------------------------------

    def serve(self, row: "memoryview[int]", lock: "threading.Lock | None") -> None:
        """Call the application and answer. `lock` guards a row that the loop writes to, too."""
        if self.gone:  # the client left while this waited for a thread
            self._service.post(self._release, None)
            return
        self._row, self._lock = row, lock
        if lock is None:
            row[STARTED] += 1
        else:
            with lock:
                row[STARTED] += 1
        service = self._service
        row[SINCE] = began = self.began = monotonic_ns()
        if began >= service.stamp.until:
            service.stamp.renew(began)
        self.environ["wsgi.early_hints"] = self.hint  # as Gunicorn calls it
        try:
            result = service.app(self.environ, self.start_response)
            if type(result) is list and len(result) == 1 and not self._head_sent and self._status is not None:
                self._whole(result[0])
            else:
                self._result = result
                self._several(result)
        except BaseException as error:  # noqa: BLE001  # an application may raise anything; the worker is unharmed
            self._fail(error)

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: Any = None,
        /,  # as PEP 3333 has it
    ) -> Callable[[bytes], None]:
        if exc_info:
            try:
                if self._head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # no cycle through the frame
        elif self._status is not None:
            raise AssertionError("start_response was called twice without exc_info (PEP 3333)")
        self._status, self._answered = status, headers
        return self.write

    def hint(self, fields: Iterable[tuple[str, str]]) -> None:
        """`wsgi.early_hints`: tell the client what it will want. Too late, or to a client of 1.0, it says nothing."""
        if self._head_sent or self.gone or not self.http11:
            return
        hints = response.early_hints(fields)
        if hints:
            self._service.post(self._deliver, hints)

    def write(self, data: bytes) -> None:
        """PEP 3333's `write`."""
        self._piece(data)

    def _whole(self, body: bytes) -> None:
        """The answer in one piece."""
        if type(body) is not bytes and not isinstance(body, bytes):
            raise response.BadResponse(f"a piece of the body must be bytes, not {type(body).__name__}")
        length = len(body)
        lines = self._build(length if length or not self.head_only else -1)
        if self._declared != length:
            body = self._cut_to(body) if self._declared < length else body
            self._produced = len(body)
            self._check_complete()
        self._produced = len(body)
        if length <= JOINED:
            lines.append(body)
            body = b"".join(lines)
        else:
            self._send(b"".join(lines))
            self._send(body, last=True)
            body = b""
        self._count(0)
        self._service.post(self._deliver_last, body)

    def _several(self, result: Iterable[bytes]) -> None:
        """Take the pieces one by one, or a file as a whole."""
        if isinstance(result, FileWrapper) and not self._head_sent and self._connection.may_write_raw:
            span = sendable(result.filelike)
            if span is not None:
                self._offer(*span)
                return
        for piece in result:
            if piece:
                self._piece(piece)
                if self._excess:
                    break  # nothing more of it can be sent
            elif self.gone:  # an empty piece asks for this
                raise BrokenPipeError("the client is gone")
        if not self._head_sent:
            self._send(b"".join(self._build(-1 if self.head_only else 0)))
        elif self._chunked:
            self._send(b"0\r\n\r\n")
        self._check_complete()
        self._finish(0)

    def _offer(self, fd: int, offset: int, length: int) -> None:
        """Have the loop answer with a file by sendfile(2); the thread, and what the application gave, are done."""
        head = b"".join(self._build(length))
        length = min(length, self._declared)
        small = os.pread(fd, length, offset) if 0 < length <= JOINED else b""
        self._produced = len(small) or length
        self._check_complete()
        if small:
            self._settle(0)
            self._service.post(self._deliver_last, head + small)
            return
        self._send(head)
        own = os.dup(fd) if length else -1
        self._settle(0)
        if length:
            self._service.post(self._send_file, (own, offset, length))
        else:
            self._service.post(self._deliver_last, b"")

    def _build(self, known: int) -> list[bytes]:
        """The head's lines. From here on there is no way back to a 500."""
        service, connection, request = self._service, self._connection, self._request
        if self._status is None:
            raise AssertionError("the application did not call start_response before its first piece (PEP 3333)")
        lines, self._declared, self._chunked, connection.keep = response.build(
            service.stamp,
            self._status,
            self._answered,
            known,
            head_only=request.line.method == b"HEAD",
            http11=request.fields.http11,
            keep=connection.keep and not service.closing and (self._body is None or self._body.ended),
        )
        self._head_sent = True
        return lines

    def _piece(self, data: bytes) -> None:
        """One piece of a body that comes in several."""
        if type(data) is not bytes and not isinstance(data, bytes):
            raise response.BadResponse(f"a piece of the body must be bytes, not {type(data).__name__}")
        lines = [] if self._head_sent else self._build(length_if_alone(self._result, data))
        if 0 <= self._declared < self._produced + len(data):
            data = self._cut_to(data)
        if data:
            self._produced += len(data)
            lines += [b"%x\r\n" % len(data), data, b"\r\n"] if self._chunked else [data]
        if lines:
            self._send(b"".join(lines))

    def _check_complete(self) -> None:
        if self._produced < self._declared:
            if self._outbox is None:
                self._head_sent = False  # nothing was sent: a 500 can still be said
            raise response.BadResponse(f"Content-Length is {self._declared}, but the body has {self._produced} bytes")

    def _send(self, data: bytes, *, last: bool = False) -> None:
        outbox = self._outbox
        if outbox is None:
            outbox = self._outbox = Outbox(self._connection, self._service, self._wait)
            outbox.gone = self.gone  # it may be so since we looked
        outbox.send(data, last=last)

    def _wait(self, event: "threading.Event") -> None:
        """Wait for the client: the clock of `timeout` stands still."""
        row, waiting = self._row, self._service.waiting
        used = monotonic_ns() - row[SINCE]
        row[SINCE] = 0
        waiting.add(self)
        event.wait()
        waiting.discard(self)
        row[SINCE] = monotonic_ns() - used

    # -- the end, in the thread --------------------------------------------------------------------------------------

    def _fail(self, error: BaseException) -> None:
        """The application failed, or the client did."""
        service, connection = self._service, self._connection
        if self.gone or isinstance(error, BrokenPipeError | ConnectionResetError | TimeoutError):
            outcome = RESET
        else:
            outcome = ERROR
            service.failed(connection, error, "error in", request_line(self))
        connection.keep = False
        if not self._head_sent and not self.gone:
            self._status, self._head_sent = "500 Internal Server Error", True
            service.post(self._deliver, response.simple(service.stamp, 500, head_only=self.head_only))
        else:
            service.post(self._cut, None)
        self._finish(outcome)

    def _finish(self, outcome: int) -> None:
        """The call is over."""
        self._settle(outcome or (RESET if self.gone else 0))
        self._service.post(self._deliver_last, b"")

    def _settle(self, outcome: int) -> None:
        """Close what the application gave, whatever became of it, and count the request."""
        result, self._result = self._result, None
        if result is not None and hasattr(result, "close"):
            try:
                result.close()
            except BaseException as error:  # noqa: BLE001  # an application may raise anything
                outcome = outcome or ERROR
                self._service.failed(self._connection, error, "error in close() after", request_line(self))
        self._count(outcome)

    def _count(self, outcome: int) -> None:
        service, row = self._service, self._row
        took = monotonic_ns() - self.began
        self.environ.pop("wsgi.early_hints", None)  # it refers to us, and we to the environ
        row[SINCE] = 0
        status = int(self._status[:3]) if self._status else LEFT if outcome == RESET else 500
        sent = status if self._head_sent else 0
        if self._refused:
            status = sent = self._refused
            outcome = outcome_of(status)
        if self._lock is None:
            service.accounting.finish(row, took, outcome, sent)
        else:
            with self._lock:
                service.accounting.finish(row, took, outcome, sent)
        if service.access is not None:
            service.access.request(self, status, self._produced, took)
