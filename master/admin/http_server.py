"""The HTTP server of the admin child: reads requests from its listeners and has the application answer them.

A thread gets a request only once all of it has arrived. So slow clients hold no thread and keep no probe waiting. They
have a deadline, and when there are too many the oldest is closed. One request per connection.
What came over a Unix socket says so in its environ (`LOCAL`). Commands, probes and pages have separate
threads: neither waiting commands nor many scrapes delay a probe, whose failure would have the service restarted.
Can go wrong: what a client does wrong ends its own connection. With no descriptor left, accepting pauses.
"""

import io
import logging
import os
import selectors
import socket
import threading
import time
from enum import Enum
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.handlers import SimpleHandler
from wsgiref.headers import Headers
from wsgiref.types import WSGIApplication

import httptools

from forkful.worker.net.accept_errors import BUSY

LOCAL = "forkful.local"  # in the environ: True if the client came over a Unix socket
PATIENCE = 5.0  # seconds for a client to send its request, and again to take its answer
THREADS = 8  # answering at once, for each purpose
PROBES = frozenset({"/livez", "/readyz"})
_CONNECTIONS = 256  # connections whose request is not here yet
_REQUEST = 32_768  # bytes of a whole request
_PAUSE = 1.0
LAST_ANSWERS = 1.0  # seconds for answers under way when we end; the master waits a little longer for us
_REFUSAL = "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

log = logging.getLogger("forkful.admin")


class Purpose(Enum):
    """What somebody is here for."""

    COMMAND = "command"  # or whatever else comes over a Unix socket
    PROBE = "probe"
    PAGE = "page"


class Connection:
    """One connection whose request is being read; what `httptools` calls back as it parses."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self.is_local = sock.family == socket.AF_UNIX
        self.is_whole = False
        self.method = self.version = ""
        self.url = b""
        self.headers: dict[str, str] = {}
        self._size = 0
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> str:
        """Parse what came; give the status to refuse it with, or "" while it is well."""
        self._size += len(data)
        if self._size > _REQUEST:
            return "413 Content Too Large"
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return "" if self.is_whole else "400 Bad Request"
        except httptools.HttpParserError:
            return "" if self.is_whole else "400 Bad Request"
        return ""

    def on_url(self, url: bytes) -> None:
        if not self.is_whole:  # or it is the next request on this connection, which nobody will answer
            self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.is_whole:
            return
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]},{text}" if key in self.headers else text

    def on_message_complete(self) -> None:
        if not self.is_whole:
            self.is_whole = True
            self.method = self._parser.get_method().decode("latin-1")
            self.version = self._parser.get_http_version()

    @property
    def purpose(self) -> Purpose:
        if self.is_local:
            return Purpose.COMMAND
        path = _origin_form(self.url).partition(b"?")[0].decode("latin-1")
        return Purpose.PROBE if path in PROBES else Purpose.PAGE

    def environ(self) -> dict[str, Any]:  # Any: what PEP 3333 says
        path, _, query = _origin_form(self.url).partition(b"?")
        return {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query.decode("latin-1"),
            "SERVER_NAME": "forkful",
            "SERVER_PORT": "0",
            "SERVER_PROTOCOL": f"HTTP/{self.version}",
            LOCAL: self.is_local,
            **self.headers,
        }


def _origin_form(target: bytes) -> bytes:
    """Without scheme and host, which a client may write (RFC 9112 section 3.2.2)."""
    _, absolute, rest = target.partition(b"://")
    return b"/" + rest.partition(b"/")[2] if absolute and target[:1] != b"/" else target


class _Answer(SimpleHandler):
    headers: Headers
    http_version = "1.1"
    os_environ = {}  # noqa: RUF012 - the base class's; it would mix this process's environment into each request's

    def cleanup_headers(self) -> None:
        super().cleanup_headers()
        self.headers["Connection"] = "close"  # not the application's to say: PEP 3333, "Other HTTP features"

    def log_exception(self, exc_info: Any) -> None:  # Any: as in the base class
        log.error("a page failed", exc_info=exc_info)


class HttpServer:
    """All of it. The admin child's loop calls `tidy`, and what it finds as data in `selector`."""

    def __init__(self, listeners: list[socket.socket], app: WSGIApplication, selector: selectors.BaseSelector) -> None:
        self._listeners = listeners
        self._app = app
        self._selector = selector
        self._connections: dict[int, Connection] = {}  # in the order of their deadlines
        self._threads = {purpose: threading.BoundedSemaphore(THREADS) for purpose in Purpose}
        self._resume_at: float | None = None
        self._answering: set[Connection] = set()
        self._rests_until: float | None = None  # nobody more is taken
        self._answered = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)  # while it rests: wakes the loop
        selector.register(self._answered, selectors.EVENT_READ, lambda: os.eventfd_read(self._answered))
        for listener in listeners:
            listener.settimeout(0)
        self._open()

    def tidy(self, now: float) -> float | None:
        """Send away who is overdue; return for how long nothing else is due, None: for ever."""
        for connection in tuple(self._connections.values()):
            if connection.deadline > now:
                break
            self._refuse(connection, "408 Request Timeout")
        if self._resume_at is not None and self._resume_at <= now:
            self._resume_at = None
            self._open()
        due = [connection.deadline for connection in self._connections.values()][:1]
        due += [moment for moment in (self._resume_at, self._rests_until) if moment is not None]
        return max(0.0, min(due) - now) if due else None

    def rest(self, now: float) -> None:
        """Take nobody more: who is in the queue is the next admin child's."""
        if self._resume_at is None and self._rests_until is None:
            for listener in self._listeners:
                self._selector.unregister(listener)
        self._resume_at, self._rests_until = None, now + LAST_ANSWERS

    def has_rested(self, now: float) -> bool:
        """Whether whom we have taken is answered, or has had his time."""
        if self._rests_until is None:
            return False
        return now >= self._rests_until or not (self._connections or self._answering)

    def close(self) -> None:
        """Leave those who have not said what they want; answers that are being made end by themselves."""
        for connection in self._connections.values():
            connection.sock.close()
        self._connections.clear()

    def finish(self) -> None:
        """Wait for the answers that are being made: who asked for a stop shall hear that it began."""
        deadline = time.monotonic() + LAST_ANSWERS
        every = [threads for threads in self._threads.values() for _ in range(THREADS)]
        if all(threads.acquire(timeout=max(0.0, deadline - time.monotonic())) for threads in every):
            os.close(self._answered)  # or somebody may still write to it

    def _open(self) -> None:
        for listener in self._listeners:
            self._selector.register(listener, selectors.EVENT_READ, partial(self._accept, listener))

    def _accept(self, listener: socket.socket) -> None:
        if self._rests_until is not None:
            return  # it came in the same turn
        try:
            sock, _ = listener.accept()
        except OSError as problem:
            if problem.errno in BUSY and self._resume_at is None:
                log.warning("admin: stops accepting for a moment: %s", problem.strerror)
                self._resume_at = time.monotonic() + _PAUSE
                for each in self._listeners:
                    self._selector.unregister(each)
            return  # or it went away again: theirs
        if len(self._connections) >= _CONNECTIONS:
            self._refuse(next(iter(self._connections.values())), "503 Service Unavailable")
        sock.settimeout(0)
        connection = self._connections[sock.fileno()] = Connection(sock, time.monotonic() + PATIENCE)
        self._selector.register(sock, selectors.EVENT_READ, partial(self._read, connection))

    def _read(self, connection: Connection) -> None:
        if connection.sock.fileno() < 0:
            return  # sent away a moment ago, to make room
        try:
            data = connection.sock.recv(_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        refusal = connection.feed(data) if data else ""
        if connection.is_whole:
            self._hand_over(connection)
        elif refusal or not data:
            self._refuse(connection, refusal)

    def _leave(self, connection: Connection) -> None:
        self._selector.unregister(connection.sock)
        del self._connections[connection.sock.fileno()]

    def _refuse(self, connection: Connection, status: str) -> None:
        self._leave(connection)
        with connection.sock:
            if status:
                try:
                    connection.sock.send(_REFUSAL.format(status).encode())
                    connection.sock.shutdown(socket.SHUT_WR)
                    connection.sock.recv(
                        _REQUEST
                    )  # what is unread at close() would reset the connection under our answer
                except OSError:
                    pass  # it did not wait for it

    def _hand_over(self, connection: Connection) -> None:
        if not self._threads[connection.purpose].acquire(blocking=False):
            self._refuse(connection, "503 Service Unavailable")
            return
        self._leave(connection)
        self._answering.add(connection)
        threading.Thread(target=self._serve, args=(connection,), name="answer", daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        try:
            with connection.sock:
                answer = respond(self._app, connection.environ())
                connection.sock.settimeout(PATIENCE)  # for all of it: sendall() does not begin anew with each piece
                connection.sock.sendall(answer)
        except OSError:
            pass  # the client went away, or does not take its answer
        finally:
            self._answering.discard(connection)
            if self._rests_until is not None:
                os.eventfd_write(self._answered, 1)
            self._threads[connection.purpose].release()


def respond(app: WSGIApplication, environ: dict[str, Any]) -> bytes:  # Any: what PEP 3333 says
    """Run the application and give the whole response."""
    out = io.BytesIO()
    handler = _Answer(io.BytesIO(), out, io.StringIO(), environ, multithread=True, multiprocess=False)
    handler.run(app)
    answer = out.getvalue()
    if environ["REQUEST_METHOD"] == "HEAD":
        head, blank, _ = answer.partition(b"\r\n\r\n")
        return head + blank
    return answer
