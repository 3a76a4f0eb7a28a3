"""The stand-in: where the admin child does not take a connection, the master answers the probes itself.

A liveness probe that is not answered, within a second by default, has a healthy service restarted, so it must not
depend on a child that may be dead or hang. The kernel tells the master, too, of who comes to the admin's addresses.
Whoever waits there for long has the child told to show that it turns; if there is none, or it does not, the master
takes who waits. It answers `/livez` and `/readyz`, and to the rest that it may be asked again. On Unix sockets, where
commands come, everybody waits for the next admin child, but not once `HOPELESS` of them have died in a row: a command
must end. One that has shown nothing for `PATIENCE`, before it has begun
for `BEGINNING`, hangs, and is killed and replaced; one that is slow, on a machine that has no time for it, is left
alone.
Can go wrong: what a client does wrong, or does slowly, ends its own connection. There are `MOST` of them at a time.
"""

import json
import math
import select
import signal
import socket
from collections.abc import Callable
from dataclasses import field
from functools import partial

from forkful.conf.light import dataclass
from forkful.master.model.events import AdminHung
from forkful.master.supervisor.state import State
from forkful.master.system import children
from forkful.master.system.listeners import Listener
from forkful.worker.ipc import messages

LONG = 0.25  # seconds that somebody waits until the child is told to show that it turns
GRACE = 0.3  # seconds for that; also for a new admin child to begin
_AGAIN = 0.1  # seconds until the next look at a queue that was just emptied
PATIENCE = 5.0  # seconds, also for a client to send its request
BEGINNING = 60.0  # seconds for a child to begin: half a second of imports, of which a busy machine can make many
HOPELESS = 5  # children that died young, one after the other
MOST = 32
_HEAD = 8192  # bytes
_AT_ONCE = 256  # connections taken at each look: enough for probes, and nothing to keep the master from its work
_ANSWER = (
    "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\n"
    "Cache-Control: no-store\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
)

Watch = Callable[[socket.socket, Callable[[float], None]], None]
Unwatch = Callable[[socket.socket], object]


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
        self._asked: dict[Listener, int] = {}  # which child was told for the sake of who waits there; 0: there is none

    def advance(self, now: float) -> float:
        """Do what is due; return when there is more to do."""
        for listener in self._state.admin.listeners:
            if listener not in self._looks:
                listener.sock.setblocking(False)
                self._await(listener)
        for listener in [listener for listener, look_at in self._looks.items() if look_at <= now]:
            self._look(listener, now)
        patience = PATIENCE if self._state.admin.has_turned else BEGINNING
        hangs_at = self._state.admin.woken_at + patience
        if hangs_at <= now:
            self._replace(patience)
            hangs_at = math.inf
        for visitor in [visitor for visitor in self._visitors.values() if visitor.deadline <= now]:
            self._leave(visitor)
        deadlines = (visitor.deadline for visitor in self._visitors.values())
        return min([hangs_at, *self._looks.values(), *deadlines])

    def close(self) -> None:
        """Leave them, in a child that must not hold them or in the end."""
        for visitor in self._visitors.values():
            visitor.sock.close()
        self._visitors.clear()

    # -- the admin child ---------------------------------------------------------------------------------------------

    def _await(self, listener: Listener) -> None:
        self._looks[listener] = math.inf
        self._asked.pop(listener, None)
        self._watch(listener.sock, lambda now: self._came(listener, now))

    def _came(self, listener: Listener, now: float) -> None:
        self._unwatch(listener.sock)  # until the child has had its time: else we would be told again and again
        self._looks[listener] = now + LONG

    def _look(self, listener: Listener, now: float) -> None:
        admin = self._state.admin
        if not _is_waited_at(listener):
            self._await(listener)
        elif self._asked.get(listener) != admin.pid:
            self._wake(now)
            self._asked[listener] = admin.pid
            self._looks[listener] = now + GRACE
        elif admin.pid and not admin.is_leaving and math.isinf(admin.woken_at):  # it turns: it has much to do
            self._await(listener)
        elif listener.address.is_unix and (admin.pid or admin.strikes.count < HOPELESS):
            self._looks[listener] = now + GRACE
        else:
            self._take(listener, now)
            self._looks[listener] = now + _AGAIN

    def _wake(self, now: float) -> None:
        """Have the child show that it turns, if there is one that is not told already."""
        admin = self._state.admin
        if admin.channel is not None and math.isinf(admin.woken_at):
            admin.channel.send(messages.Wake())
            admin.woken(now)

    def _replace(self, patience: float) -> None:
        admin = self._state.admin
        admin.turns()
        if admin.pid:
            self._state.journal.report(AdminHung(admin.pid, patience))
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
                status, text = "503 Service Unavailable", self._why_not()
        kind, body = "text/plain", f"{text}\n".encode()
        if method == b"POST":  # a command, whose answers are documents
            kind, body = "application/json", json.dumps({"ok": False, "message": text}).encode()
        head = _ANSWER.format(status=status, kind=kind, length=len(body)).encode()
        return head if method == b"HEAD" else head + body

    def _why_not(self) -> str:
        if (count := self._state.admin.strikes.count) < HOPELESS:
            return "the admin child does not answer; ask again"
        return f"the admin child has died {count} times in a row, the log says of what: it takes no commands"

    def _leave(self, visitor: _Visitor) -> None:
        self._unwatch(visitor.sock)
        self._visitors.pop(visitor.sock.fileno(), None)
        visitor.sock.close()


def _is_waited_at(listener: Listener) -> bool:
    """Whether somebody is in its queue."""
    poller = select.poll()
    poller.register(listener.sock, select.POLLIN)
    return bool(poller.poll(0))
