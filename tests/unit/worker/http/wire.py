"""A WSGI connection without sockets: a transport that remembers, a client that speaks in bytes."""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable
from threading import Lock, Semaphore, get_ident
from threading import Thread as RealThread
from typing import TYPE_CHECKING, Any

from forkful.handlers.wsgi import Application, Environ, StartResponse
from forkful.worker.eventloop.accounting import Accounting
from forkful.worker.http.access_log import Access
from forkful.worker.http.limits import Limits
from forkful.worker.http.wsgi.service import WsgiService
from forkful.worker.ipc.scoreboard import CELLS
from forkful.worker.net.local_address import LocalAddress
from forkful.worker.net.trust import Trust

if TYPE_CHECKING:
    from forkful.worker.http.wsgi.exchange import WsgiExchange


class FakeTransport(asyncio.Transport):
    """Takes everything, unless `slow`: then the connection is told to wait after each write."""

    def __init__(self, *, slow: bool = False, address: object = None) -> None:
        super().__init__()
        self.address = address
        self.out = bytearray()
        self.closed = self.aborted = self.ended = self.paused = False
        self.slow = slow
        self.connection: Any = None

    def write(self, data: Any) -> None:
        assert not self.closed, "written to after its end"
        self.out += data
        if self.slow:
            self.connection.pause_writing()

    def drained(self) -> None:
        self.connection.resume_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return len(self.out)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.address if name == "peername" else default

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    @property
    def over(self) -> bool:
        """Whether the client sees an end."""
        return self.closed or self.ended


class FakeLoop:
    """Timers and calls that a test runs by itself."""

    def __init__(self) -> None:
        self.later: list[tuple[float, Any]] = []
        self.soon: list[Any] = []

    def call_later(self, delay: float, callback: Any, *_args: Any) -> None:
        self.later.append((delay, callback))

    def call_soon(self, callback: Any, *args: Any) -> None:
        self.soon.append((callback, args))

    def turn(self) -> None:
        calls, self.soon = self.soon, []
        for callback, args in calls:
            callback(*args)


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Says what it was asked: method, path, query, body."""
    body = environ["wsgi.input"].read()
    answer = b" ".join(
        [
            environ["REQUEST_METHOD"].encode(),
            environ["PATH_INFO"].encode("latin-1"),
            environ["QUERY_STRING"].encode("latin-1"),
            body,
        ]
    )
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


PATIENCE = 20.0


class Room:
    """Where a thread waits. One of its own hands over to the test; without one, `waited` is called."""

    def __init__(self, thread: "Thread") -> None:
        self._thread = thread
        self.told = False

    def clear(self) -> None:
        self.told = False

    def set(self) -> None:
        self.told = True

    def wait(self) -> None:
        parked = self._thread.parked
        if parked is not None and parked.ident == get_ident():
            parked.wait(self)
        else:
            self._thread.waited()


class Parked:
    """A call whose body has not come yet, in a thread of its own that runs only while the test waits for it."""

    def __init__(self, serve: Callable[[], None]) -> None:
        self._serve = serve
        self._mine, self._theirs = Semaphore(0), Semaphore(0)
        self._room: Room | None = None
        self.done = False
        self.ident = 0
        RealThread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        self.ident = get_ident()
        self._mine.acquire(timeout=PATIENCE)
        self._serve()
        self.done = True
        self._theirs.release()

    def wait(self, room: Room) -> None:
        self._room = room
        self._theirs.release()
        assert self._mine.acquire(timeout=PATIENCE)

    def turn(self) -> bool:
        """Have it go on, if it can."""
        if self._room is not None and not self._room.told:
            return False
        self._mine.release()
        assert self._theirs.acquire(timeout=PATIENCE)
        return True


class Thread:
    """The pool of threads, without one: it has its turn when it is asked to, and what it posts is done at once.

    Where it would wait for the client to read, the loop sends, and the client reads, unless there is none any more.
    """

    threads = 1
    busy = 0

    def __init__(self, row: "memoryview[int]", waited: Callable[[], None]) -> None:
        self.lock = Lock()
        self.waited = waited
        self.serving: dict[int, object] = {}
        self.parked: Parked | None = None
        self._row = row
        self._work: deque[WsgiExchange] = deque()
        self._done: deque[tuple[Callable[[Any], None], Any]] = deque()  # Any: what the call takes
        self.put = self._work.append

    def post(self, call: Callable[[Any], None], argument: Any) -> None:  # Any: as above
        self._done.append((call, argument))

    def welcome(self) -> int:
        return 1

    def stop(self) -> None: ...

    def room(self) -> Any:  # Any: in place of an event
        return Room(self)

    def flush(self) -> None:
        while self._done:
            call, argument = self._done.popleft()
            call(argument)

    def turn(self) -> bool:
        """Serve what waits; whether there was anything."""
        self.flush()
        if self.parked is None:
            if not self._work:
                return False
            work = self._work.popleft()
            body = work._body  # noqa: SLF001  # whether it may have to wait for it
            if body is None or body.ended:
                work.serve(self._row, self.lock)
                self.flush()
                return True
            self.parked = Parked(lambda: work.serve(self._row, self.lock))
        went_on = self.parked.turn()
        if self.parked.done:
            self.parked = None
        self.flush()
        return went_on


class Client:
    """One connection to an application."""

    def __init__(
        self,
        app: Application = echo,
        *,
        limits: Limits | None = None,
        slow: bool = False,
        access: Access | None = None,
        trust: str = "",
        address: tuple[str, int] | None = ("192.0.2.7", 4711),
    ) -> None:
        self.loop = FakeLoop()
        self.row: memoryview[int] = memoryview(bytearray(CELLS * 8)).cast("Q")
        accounting = Accounting(self.row, self.loop)  # type: ignore[arg-type]  # what it needs of a loop
        self.thread = Thread(self.row, self.waited)
        self.service = WsgiService(
            self.loop,  # type: ignore[arg-type]  # as above
            accounting,
            limits or Limits(),
            app,
            self.thread,
            trust=Trust.parse(trust.split(",")),
            access=access,
        )
        self.make = self.service.maker(LocalAddress("server.test", 8000))
        self._slow = slow
        self.before_waiting: Callable[[], object] = lambda: None
        self.connect(address)

    def connect(self, address: tuple[str, int] | None) -> None:
        """Connect (again), from this address."""
        self.connection = self.make()
        self.transport = FakeTransport(slow=self._slow, address=address)
        self.transport.connection = self.connection
        self.connection.connection_made(self.transport)

    def say(self, *pieces: bytes) -> bytes:
        """Send, and return what came back."""
        for piece in pieces:
            if self.transport.over:
                break
            self.connection.data_received(piece)
            self.settle()
        return self.heard()

    def settle(self) -> None:
        """Thread and loop, until what can be done is."""
        while self.thread.turn() or self.loop.soon:
            self.loop.turn()

    def waited(self) -> None:
        """The thread waits: the loop sends, and the client reads."""
        self.before_waiting()
        self.thread.flush()
        if self.connection.stalled:
            self.transport.drained()

    def heard(self) -> bytes:
        out = bytes(self.transport.out)
        self.transport.out.clear()
        return re.sub(rb"Date: [^\r]+\r\n", b"", out)

    def leave(self) -> None:
        self.connection.connection_lost(None)


def statuses(answers: bytes) -> list[int]:
    """The status codes in what came back; bodies of `echo` have none."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answers)]


def status(answer: bytes) -> int:
    found = statuses(answer)
    return found[0] if found else 0
