"""The stand-in: where the admin child does not take a connection, the master answers the probes itself.

A liveness probe that is not answered, within a second by default, has a healthy service restarted, so it must not
depend on a child that may be dead or hang. The kernel tells the master, too, of who comes to the admin's addresses;
whom the child has not taken after `GRACE` the master takes. It answers `/livez` and `/readyz`, and to the rest that it
may be asked again. On Unix sockets, where commands come, everybody waits for the next admin child.
A child that leaves unread for `PATIENCE` what the master tells it hangs, and is killed and replaced.
Can go wrong: what a client does wrong, or does slowly, ends its own connection. There are `MOST` of them at a time.
"""

import math
import select
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from forkful.master.model.events import AdminHung
from forkful.master.supervisor.state import State
from forkful.master.system import children
from forkful.master.system.listeners import Listener
from forkful.worker.ipc import messages

_AGAIN = 0.1  # seconds until the next look at a queue that was just emptied
GRACE = 0.5  # seconds; a new admin child needs a third of it to begin
PATIENCE = 5.0  # seconds, also for a client to send its request
MOST = 32
_HEAD = 8192  # bytes
_AT_ONCE = 256  # connections taken at each look: enough for probes, and nothing to keep the master from its work
_ANSWER = (
    "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n"
    "Cache-Control: no-store\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
)

Watch = Callable[[socket.socket, Callable[[float], None]], None]
Unwatch = Callable[[socket.socket], None]


@dataclass(slots=True)
class _Visitor:
    """One whom the admin child has not taken."""

    sock: socket.socket
    deadline: float
    said: bytearray = field(default_factory=bytearray)


class StandIn:
    """The loop's: it is told of who comes by `watch`, and of the time by `advance`."""

    def __init__(self, state: State, watch: Watch, unwatch: Unwatch) -> None:
        self._state, self._watch, self._unwatch = state, watch, unwatch
        self._looks: dict[Listener, float] = {}  # when to see whether somebody still waits; inf: once somebody comes
        self._visitors: dict[int, _Visitor] = {}  # by descriptor, in the order of their deadlines
        self._told = 0  # the admin child that shall show that it turns
        self._told_by = math.inf

    def advance(self, now: float) -> float:
        """Do what is due; return when there is more to do."""
        for listener in self._state.admin.listeners:
            if listener not in self._looks:
                listener.sock.setblocking(False)
                self._await(listener)
        for listener in [listener for listener, look_at in self._looks.items() if look_at <= now]:
            self._look(listener, now)
        if self._told_by <= now:
            self._judge()
        for visitor in [visitor for visitor in self._visitors.values() if visitor.deadline <= now]:
            self._leave(visitor)
        deadlines = (visitor.deadline for visitor in self._visitors.values())
        return min([self._told_by, *self._looks.values(), *deadlines])

    def close(self) -> None:
        """Leave them, in a child that must not hold them or in the end."""
        for visitor in self._visitors.values():
            visitor.sock.close()
        self._visitors.clear()

    # -- the admin child ---------------------------------------------------------------------------------------------

    def _await(self, listener: Listener) -> None:
        self._looks[listener] = math.inf
        self._watch(listener.sock, lambda now: self._came(listener, now))

    def _came(self, listener: Listener, now: float) -> None:
        self._unwatch(listener.sock)  # until the child has had its time: else we would be told again and again
        self._looks[listener] = now + GRACE

    def _look(self, listener: Listener, now: float) -> None:
        if not _is_waited_at(listener):
            self._await(listener)
            return
        self._tell(now)
        if listener.address.is_unix:
            self._looks[listener] = now + GRACE
        else:
            self._take(listener, now)
            self._looks[listener] = now + _AGAIN

    def _tell(self, now: float) -> None:
        """Tell the child something, to see whether it is read."""
        channel = self._state.admin.channel
        if channel is not None and math.isinf(self._told_by):
            channel.send(messages.Wake())
            self._told, self._told_by = self._state.admin.pid, now + PATIENCE

    def _judge(self) -> None:
        self._told_by = math.inf
        admin = self._state.admin
        if admin.channel is not None and admin.pid == self._told and admin.channel.is_unread:
            self._state.journal.report(AdminHung(admin.pid, PATIENCE))
            children.send_signal(admin.pid, signal.SIGKILL)

    # -- visitors ----------------------------------------------------------------------------------------------------

    def _take(self, listener: Listener, now: float) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, _ = listener.sock.accept()
            except OSError:  # nobody is left, or he went away, or there is no descriptor: then we are told again
                return
            sock.setblocking(False)
            if len(self._visitors) >= MOST:
                self._leave(next(iter(self._visitors.values())))
            visitor = self._visitors[sock.fileno()] = _Visitor(sock, now + PATIENCE)
            self._watch(sock, partial(self._hear, visitor))
            self._hear(visitor, now)  # he has had time to say what he wants

    def _hear(self, visitor: _Visitor, _now: float) -> None:
        try:
            data = visitor.sock.recv(_HEAD)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        visitor.said += data
        is_whole = b"\r\n\r\n" in visitor.said or b"\n\n" in visitor.said
        if is_whole:
            self._answer(visitor)
        if is_whole or not data or len(visitor.said) > _HEAD:
            self._leave(visitor)

    def _answer(self, visitor: _Visitor) -> None:
        try:
            visitor.sock.send(self._words(bytes(visitor.said)))
            visitor.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it did not wait for it

    def _words(self, request: bytes) -> bytes:
        method, target = [*request.partition(b"\n")[0].split(), b"", b""][:2]
        match target.partition(b"?")[0]:
            case b"/livez":
                status, text = "200 OK", "the master turns"
            case b"/readyz":
                ready, reason = self._state.readiness()
                status, text = ("200 OK", "ready") if ready else ("503 Service Unavailable", reason)
            case _:
                status, text = "503 Service Unavailable", "the admin child does not answer; ask again"
        body = f"{text}\n".encode()
        head = _ANSWER.format(status=status, length=len(body)).encode()
        return head if method == b"HEAD" else head + body

    def _leave(self, visitor: _Visitor) -> None:
        self._unwatch(visitor.sock)
        self._visitors.pop(visitor.sock.fileno(), None)
        visitor.sock.close()


def _is_waited_at(listener: Listener) -> bool:
    """Whether somebody is in its queue."""
    poller = select.poll()
    poller.register(listener.sock, select.POLLIN)
    return bool(poller.poll(0))
