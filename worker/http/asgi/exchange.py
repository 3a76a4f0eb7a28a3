"""One request of an ASGI application and its response: the `receive` and `send` of one call (ASGI 3, HTTP 2.4).

The body reaches the application as it comes, and nothing is read that it does not ask for (one buffer's worth ahead);
what it sends waits for the client. Once the answer has begun it may last: server-sent events have no deadline, only
what comes before the first byte has.
Can go wrong: the application raises or returns without an answer: 500, or the connection is cut if half an answer is
out. The client goes away: `http.disconnect`, and `send` raises `OSError`.
"""

import asyncio
import os
from typing import Any, Final

from forkful.handlers.asgi import Message
from forkful.worker.http import response
from forkful.worker.http.access_log import LEFT, request_line
from forkful.worker.http.asgi import extensions
from forkful.worker.http.asgi.call import Call, is_about_client, status_line
from forkful.worker.http.asked import outcome_of
from forkful.worker.http.wire import BODY
from forkful.worker.ipc.scoreboard import ERROR, RESET

JOINED: Final = 65_536  # bytes of a file up to which it is read, so that it leaves in one write with its head
TOGETHER: Final = 16  # pieces of an answer that may go without a turn for others, where the client takes them at once
AHEAD: Final = 65_536  # bytes of a body that may wait for the application before we stop reading


class Exchange(Call):
    """One request and its response: the `receive` and `send` of one call of the application."""

    # What most exchanges never set; without slots, so that none has to.
    _size = 0  # bytes of the body that wait for the application
    _told = False  # the end of the request's body
    _reader: asyncio.Event | None = None  # events, for several tasks of one call may wait
    _writer: asyncio.Event | None = None
    _status = 0
    _outcome = RESET  # if the client leaves, or is refused
    _sent_status = 0  # the same, once it is on its way
    _fields: Any = ()  # of the head; None once they are sent
    _chunked = False
    _sends = 0  # pieces of the body
    _trailers: list[bytes] | None = None  # their lines so far, where the application said that some will come
    _chunks_wanted = False  # the client takes them, and they come behind chunks
    _trailing = False  # the body is over, and they are due
    _leaving = _parted = False  # the worker leaves, and an event stream shall end; its application knows
    _failed: BaseException | None = None  # what became of a file
    _landed = False  # no deadline applies any more
    started = complete = disconnected = uninvited = False
    left = False  # the client has closed its side after a whole request; it may still listen

    _more: bool  # of the request's body is to come
    _body: list[bytes]

    def begin(self) -> None:
        if self._connection.ended:
            self.left = True
        fields, service = self._request.fields, self._service
        self._more, self._body = fields.chunked or fields.length > 0, []
        self.began = service.accounting.begin(self)
        if self.began >= service.stamp.until:
            service.stamp.renew(self.began)
        self.task = service.spawn(self._run(), at_once=not self._more)

    async def _run(self) -> None:
        service = self._service
        try:
            await service.app(self._scope, self.receive, self.send)
        except BaseException as error:  # noqa: BLE001  # an application may raise anything; the worker is unharmed
            self._end(error)  # not kept in a variable: its traceback has this very frame, and what it holds
        else:
            if not self.complete:
                self._end(None)
        if self.task is not None:
            service.tasks.discard(self.task)
            self.task = None

    def _end(self, error: BaseException | None) -> None:
        """The call is over, and not as it should be."""
        connection = self._connection
        if self.disconnected and (error is None or is_about_client(error)):
            self._over(self._outcome)
            return
        if self._parted and self._fields is None and (error is None or is_about_client(error)):
            connection.keep = False  # and without the last chunk: half an answer never looks whole
            self._over()
            return
        cut_short = self._service.ending and isinstance(error, asyncio.CancelledError)
        if error is None:
            what = "ended without completing its answer to" if self.started else "ended without an answer to"
            error = RuntimeError(f"the ASGI application {what} {request_line(self)}")
        if not cut_short:
            when = "error after the answer to" if self.complete else "error in"
            self._service.failed(connection, error, when, request_line(self))
        if self.complete:
            return
        connection.keep = False
        if self._fields is not None and not self.disconnected:
            self._status = self._sent_status = 503 if cut_short else 500
            connection.write(response.simple(self._service.stamp, self._status, head_only=self.head_only))
        elif not self.disconnected:
            connection.abort()
        self._over(ERROR)

    def _over(self, outcome: int = 0) -> None:
        """The response is complete, or will never be."""
        self.complete = True
        connection = self._connection
        if self._landed:
            self._service.lasting.discard(self)
        took = self._service.accounting.end(self, self.began, outcome, self._sent_status)
        if self._service.access is not None:
            status = self._status or (LEFT if outcome == RESET else 500)
            self._service.access.request(self, status, self._produced, took)
        self.wake_receiver()
        if not self.disconnected:
            connection.answered()

    # -- the request's body ------------------------------------------------------------------------------------------

    def feed(self, piece: bytes) -> None:
        if self.complete:
            return
        self._body.append(piece)
        self._size += len(piece)
        if self._size > AHEAD:
            self._connection.full = True
            self._connection.pause_reading()
        self.wake_receiver()

    def end_of_body(self) -> None:
        self._more = False
        self.wake_receiver()

    def invite(self) -> None:
        """Not before the application asks for the body: `receive` does it."""
        self.uninvited = True

    def hang_up(self) -> bool:
        """Who asks is told, and then the client counts as gone; an answer still goes out."""
        self.left = True
        self.wake_receiver()
        return True

    def drain(self) -> None:
        """The worker leaves: an event stream has no end of its own. Who watches for the client's end is told of one."""
        self._leaving = True
        self.wake_receiver()

    def refused(self, code: int) -> bool:
        self._status = self._sent_status = code
        self._outcome = outcome_of(code)
        return True

    def disconnect(self) -> None:
        self.disconnected = True
        self._service.lasting.discard(self)
        if not self.complete:
            self._service.accounting.land(self)
        self.wake_receiver()
        self.resume()

    def wake_receiver(self) -> None:
        if self._reader is not None:
            self._reader.set()

    def file_sent(self, error: BaseException | None) -> None:
        self._failed = error
        self.resume()

    def resume(self) -> None:
        if self._writer is not None:
            self._writer.set()

    async def receive(self) -> Message:
        """What the application awaits: a piece of the body, or the end of the client."""
        if self.uninvited and not self.disconnected and not self.complete:
            self.uninvited = False
            self._connection.invite()
        while not (self._body or self.disconnected or self.complete or self.left or not (self._more or self._told)):
            if self._leaving and self._told:
                self._parted = True
                return {"type": "http.disconnect"}
            await self._wait_for_client()
        if self.left and self._told and not self.complete and not self.disconnected:
            self.disconnect()
            self._connection.transport.close()
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        body = b"".join(self._body)
        self._body.clear()
        self._size, self._told = 0, not self._more
        connection = self._connection
        if connection.full:
            connection.full = False
            connection.resume_reading()
        return {"type": "http.request", "body": body, "more_body": self._more}

    async def _wait_for_client(self) -> None:
        if self._reader is None:
            self._reader = asyncio.Event()
        self._reader.clear()
        if not self._more:
            await self._reader.wait()
            return
        accounting = self._service.accounting
        began = accounting.pause(self)  # the client has the ball
        try:
            await self._reader.wait()
        finally:
            if began and not (self._landed or self.complete or self.disconnected):
                accounting.go_on(self, began)

    # -- the response ------------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """What the application sends. Raises OSError once the client is gone, to those who would send on and on.

        An answer that is given whole is dropped in silence, so that what comes after it (Starlette's background tasks)
        runs, as by uvicorn.
        """
        kind = message["type"]
        if self.disconnected:
            if kind == "http.response.start" or not message.get("more_body", False):
                return
            raise ConnectionResetError("the client is gone")
        if kind == "http.response.body" and self.started and not (self.complete or self._trailing):
            body = message.get("body", b"")
            if type(body) is not bytes:
                body = bytes(memoryview(body))  # a text raises
            self._send_body(body, more=message.get("more_body", False))
            if not self.complete:
                self._sends += 1
                if self._connection.stalled:
                    await self._wait_for_client_to_read()
                elif not self._sends % TOGETHER or self._connection.transport.is_closing():
                    await asyncio.sleep(0)  # others, and the news that the client left, have their turn
        elif kind == "http.response.start" and not self.started:
            self._status = message["status"]
            self._fields = message.get("headers", ())
            self.started = True
            if message.get("trailers", False):
                self._announce_trailers()
        else:
            await self._send_more(kind, message)

    async def _send_more(self, kind: str, message: Message) -> None:
        """What extensions are sent by."""
        if kind == "http.response.early_hint":
            hints = response.early_hints((b"Link", bytes(link)) for link in message["links"])
            if hints and self.http11 and self._fields is not None:  # later, they say nothing new
                self._connection.write(hints)
        elif kind == "http.response.pathsend" and self.started and self._fields is not None:
            await self._send_file(*extensions.open_file(message["path"]))
        elif kind == "http.response.zerocopysend" and self.started and not (self.complete or self._trailing):
            await self._send_span(*extensions.open_span(message), more=message.get("more_body", False))
        elif kind == "http.response.trailers" and self._trailers is not None and (self._trailing or self.complete):
            if self._trailing:  # otherwise the client takes none
                self._send_trailers(message.get("headers", ()), more=message.get("more_trailers", False))
        else:
            raise RuntimeError(f"{kind!r} was sent when it could not be")

    def _announce_trailers(self) -> None:
        self._trailers = []
        if not self.head_only and self._request.fields.http11 and self._request.fields.trailers:
            self._fields = extensions.without_length(self._fields)
            self._chunks_wanted = True

    def _send_trailers(self, fields: Any, *, more: bool) -> None:  # Any: as `_fields`
        assert self._trailers is not None
        self._trailers += extensions.trailer_lines(fields)
        if not more:
            self._connection.write(b"".join([b"0\r\n", *self._trailers, b"\r\n"]))
            self._trailing = False
            self._over()

    async def _send_file(self, fd: int, offset: int, size: int) -> None:
        """The body is a file's content, or a part of it. The descriptor is ours to close."""
        connection = self._connection
        try:
            lines = self._head(size, more=True)
            length = self._produced = min(size, self._declared)
            small = os.pread(fd, length, offset) if 0 < length <= JOINED else b""
            if size < self._declared or (small and len(small) < length):
                self._fields = ()  # nothing was sent: a 500 can still be said
                raise RuntimeError(f"Content-Length is {self._declared}, but the file has {size} bytes")
            lines.append(small)
            connection.write(b"".join(lines))
            if small:
                await self._wait_for_client_to_read()
            elif length and connection.may_write_raw:
                own, fd = fd, -1  # the connection closes it
                connection.send_file(own, offset, length)
                await self._wait_for_client_to_read()
            elif length:
                await self._send_read(fd, offset, length)
        finally:
            if fd >= 0:
                os.close(fd)
        if isinstance(self._failed, ConnectionError):
            self.disconnect()
            connection.abort()
        elif self._failed is not None:
            raise self._failed
        if not self.disconnected:
            self._over()

    async def _send_span(self, fd: int, offset: int, size: int, *, more: bool) -> None:
        """A part of a file that somebody has open; beside other pieces of a body it is read."""
        if self._fields is not None and not more and not self._chunks_wanted:
            await self._send_file(fd, offset, size)
            return
        with os.fdopen(fd, "rb", buffering=0):
            for begin in range(offset, offset + size, extensions.BLOCK):
                if not (data := os.pread(fd, min(extensions.BLOCK, offset + size - begin), begin)):
                    raise EOFError("the file became shorter while it was sent")
                await self.send({"type": "http.response.body", "body": data, "more_body": True})
            if not more:
                await self.send({"type": "http.response.body"})

    async def _send_read(self, fd: int, offset: int, length: int) -> None:
        """A file on a connection that has to be written to through its transport."""
        end = offset + length
        while offset < end and not self.disconnected:
            data = os.pread(fd, min(extensions.BLOCK, end - offset), offset)
            if not data:
                raise EOFError("the file became shorter while it was sent")
            offset += len(data)
            self._connection.write(data)
            await self._wait_for_client_to_read()

    async def _wait_for_client_to_read(self) -> None:
        if self._writer is None:
            self._writer = asyncio.Event()
        connection = self._connection
        while (connection.stalled or connection.file is not None) and not self.disconnected:
            self._writer.clear()
            await self._writer.wait()

    def _send_body(self, body: bytes, *, more: bool) -> None:
        connection = self._connection
        first = self._fields is not None
        lines = self._head(-1 if more else len(body), more=more) if first else []
        if 0 <= self._declared < self._produced + len(body):
            body = self._cut_to(body)
        self._produced += len(body)
        if not more and self._produced < self._declared:
            if first:
                self._fields = ()  # nothing was sent: a 500 can still be said
            raise RuntimeError(f"Content-Length is {self._declared}, but the body has {self._produced} bytes")
        if self._chunked:
            if body:
                lines += [b"%x\r\n" % len(body), body, b"\r\n"]
            self._trailing = not more and self._chunks_wanted
            if not more and not self._trailing:
                lines.append(b"0\r\n\r\n")
        elif body:
            lines.append(body)
        if lines:
            connection.write(b"".join(lines))
        if not more and not self._trailing:
            self._over()

    def _head(self, known: int, *, more: bool) -> list[bytes]:
        """`known`: the length of the whole body, or -1."""
        connection = self._connection
        service = self._service
        head_only = self.head_only
        if more:
            self._landed = True
            service.accounting.land(self)  # an answer that has begun may last
            if extensions.is_event_stream(self._fields):
                service.lasting.add(self)
                if service.draining:
                    self.drain()
        if self._chunks_wanted or (head_only and not known):
            known = -1
        lines, self._declared, self._chunked, connection.keep = response.build(
            service.stamp,
            status_line(self._status),
            self._fields,
            known,
            head_only=head_only,
            http11=self.http11,
            keep=connection.keep
            and not service.closing
            and (more or connection.phase != BODY),  # read on: RFC 9112 9.3
        )
        if self._chunks_wanted and self._chunked:
            lines[1:1] = extensions.announcement(self._fields)
        self._answered, self._fields = self._fields, None
        self._sent_status = int(self._status)
        return lines
