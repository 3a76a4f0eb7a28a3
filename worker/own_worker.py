"""A worker whose program accepts for itself: it is given the sockets, told when to drain, and supervised meanwhile.

The program has the main thread; the control thread hears the master and says `draining()`. Ready is the moment when the
program first takes a listening socket into use, so that a reload waits for what it loads before.
Can go wrong: the program fails or returns before it uses a socket: `BootError`. Later that is a failed worker.
"""

import inspect
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from socket import socket
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from forkful.handlers.farewell import draining
from forkful.handlers.inheritance import inheritance
from forkful.handlers.kinds import Served
from forkful.handlers.load import describe, trim
from forkful.worker.blocking.drain import Drain
from forkful.worker.ipc import messages
from forkful.worker.ipc.boot_error import BootError
from forkful.worker.ipc.scoreboard import ACCEPTED, ACTIVE, OVERLAPS, STARTED, bucket
from forkful.worker.net.shared_listener import SharedListener

if TYPE_CHECKING:
    from forkful.worker.blocking.lane import After
    from forkful.worker.ipc.assignment import Assignment
    from forkful.worker.process.control import Control

logger = logging.getLogger("forkful.worker")

_GLANCE_MS = 20  # between two looks at a queue that is being emptied


class Accounting:
    """What the program has taken, on the worker's first row. It may do so in any thread, hence the lock."""

    def __init__(self, row: "memoryview[int]", after: "After") -> None:
        self._row = row
        self._after = after
        self._lock = threading.Lock()
        self._open: dict[int, int] = {}  # identity of a connection to its start
        row[OVERLAPS] = 1

    def taken(self, cell: int, conn: socket | None) -> None:
        """A connection, or a datagram (None), which is done at once as far as we can see."""
        with self._lock:
            self._row[STARTED] += 1
            self._row[ACCEPTED + cell] += 1
            if conn is not None:
                self._open[id(conn)] = monotonic_ns()
                self._row[ACTIVE] = len(self._open)
        if conn is None:
            self._done(0)

    def ended(self, conn: socket) -> None:
        with self._lock:
            began = self._open.pop(id(conn))
            self._row[ACTIVE] = len(self._open)
        self._done(monotonic_ns() - began)

    def _done(self, took: int) -> None:
        with self._lock:
            self._row[bucket(took)] += 1
        if self._after is not None:
            self._after()


@dataclass(eq=False, slots=True)
class OwnDrain(Drain):
    """Says farewell. Queues that nobody will serve after us are left to the program until they are empty."""

    queues: Sequence[socket] = ()  # descriptors of our own, as the program may close its
    patience: float = 0.0  # seconds for the queues

    def start(self, empty: Collection[int] = ()) -> None:
        if self.begun:
            self.say_farewell()
            return
        self.kicked.set()
        last = [queue for position, queue in enumerate(self.queues) if position in empty]
        threading.Thread(target=self._part, args=(last,), name="farewell", daemon=True).start()

    def _part(self, last: Sequence[socket]) -> None:
        deadline = time.monotonic() + self.patience
        while not self.farewell.is_set() and time.monotonic() < deadline and any(map(_is_waited_in, last)):
            self.farewell.wait(_GLANCE_MS / 1000)  # nothing tells that a queue is empty
        self.say_farewell()

    def say_farewell(self) -> None:
        os.eventfd_write(self.bell, 1)
        self.farewell.begin()


def _is_waited_in(queue: socket) -> bool:
    poll = select.poll()
    poll.register(queue, select.POLLIN)
    return bool(poll.poll(0))


def serve(
    assignment: "Assignment", row: "memoryview[int]", served: Served, control: "Control", after: "After"
) -> Callable[[], bool]:
    """Prepare; what comes back runs the program, and returns whether it ended well, as it was asked to."""
    _refuse_what_it_does_not_ask(assignment, served)
    queues = [socket(fileno=os.dup(fd)) for fd in assignment.listeners]
    drain = OwnDrain((), (), draining(), queues=queues, patience=assignment.graceful_timeout / 2)
    accounting = Accounting(row, after)

    def begin() -> None:
        control.tell(messages.Ready())
        inheritance().begin()

    ready = _Once(begin)
    listeners = [
        SharedListener(fd, drain.bell, ready, lambda conn, cell=cell: accounting.taken(cell, conn), accounting.ended)  # type: ignore[misc]
        for fd, cell in zip(assignment.listeners, assignment.numbers, strict=True)
    ]
    control.drain = drain

    def run() -> bool:
        try:
            _call(served.target.serve, listeners, assignment.plan.event_loop)
        except BaseException as error:  # noqa: BLE001  # the user's program, whatever it raises
            if not (isinstance(error, SystemExit) and drain.begun):
                return _failed(assignment, served, ready, error)
        if not drain.begun:
            return _failed(assignment, served, ready, None)
        inheritance().finish()
        return True

    return run


def _refuse_what_it_does_not_ask(assignment: "Assignment", served: Served) -> None:
    plan = assignment.plan
    if plan.affinity != "none":
        raise BootError(
            f"{served.text!r} accepts for itself, and asks nobody when it may begin: leave affinity out, or write the "
            "handler as a class of socketserver or an asyncio.DatagramProtocol"
        )
    if plan.allow or plan.deny:
        raise BootError(
            f"{served.text!r} accepts for itself and asks nobody about allow and deny: leave them out, and have a "
            "firewall or the program itself say who may connect"
        )
    if any(plan.at(address).proxy_protocol != "off" for address in plan.bind):
        raise BootError(
            f"{served.text!r} accepts for itself and asks nobody about proxy_protocol: leave it out, and have the "
            "program read the header"
        )
    if any(context is not None for context in assignment.contexts):
        raise BootError(
            f"{served.text!r} accepts for itself, so TLS is its own affair, too: bind tcp://, leave out certfile, and "
            "have the program itself secure its connections"
        )
    if plan.max_connections_per_ip or plan.max_rate_per_ip:
        raise BootError(
            f"{served.text!r} accepts for itself and asks nobody about max_connections_per_ip and max_rate_per_ip: "
            "leave them out, and have a firewall or the program itself see to that"
        )


class _Once:
    """Calls it the first time; `done` says whether that was."""

    def __init__(self, what: Callable[[], object]) -> None:
        self._what = what
        self._lock = threading.Lock()
        self.done = False

    def __call__(self) -> None:
        if self.done:
            return
        with self._lock:
            first, self.done = not self.done, True
        if first:
            self._what()


def _call(serve: Callable[[Sequence[socket]], Any], listeners: Sequence[socket], event_loop: str) -> None:
    # Any: what the user's function gives; only a coroutine means something
    if not inspect.iscoroutinefunction(inspect.unwrap(serve)):
        made = serve(listeners)
        if inspect.iscoroutine(made):
            _run(made, event_loop)
        return
    _run(serve(listeners), event_loop)


def _run(program: Coroutine[Any, Any, object], event_loop: str) -> None:  # Any: as above
    import asyncio  # noqa: PLC0415  # 40 ms and 11 MB that only such a program pays for

    from forkful.worker.loop_worker import make_loop  # noqa: PLC0415  # as above

    with asyncio.Runner(loop_factory=lambda: make_loop(event_loop)) as runner:
        runner.run(program)


def _failed(assignment: "Assignment", served: Served, ready: _Once, error: BaseException | None) -> bool:
    """It ended, and nobody had asked it to. Always False, if it does not raise."""
    what = f"ended with {describe(error)}" if error is not None else "returned, and nobody had asked it to drain"
    if not ready.done:
        raise BootError(f"{served.text!r} {what} before it used a listening socket", trim(error) if error else "")
    logger.critical("%s: %s %s; this worker leaves", assignment, served.text, what, exc_info=error)
    return False
