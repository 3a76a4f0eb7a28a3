"""A lane: one thread of a worker that takes for itself, serves, and writes what it does to its own row.

A loop only waits and dispatches: `take` and `serve` come from `stream` or `datagram`.
Can go wrong: taking fails; `recovery` knows what to do. What it does not know ends the worker (`lanes`).
"""

import os
import select
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from forkful.worker.blocking.held import Held
from forkful.worker.blocking.listener import Listener
from forkful.worker.blocking.recovery import get_over, recover
from forkful.worker.ipc.scoreboard import SINCE

Serve = Callable[[Any, Any], None]  # Any: what was taken (descriptor, socket, datagram) and a peer's address
After = Callable[[], object] | None  # called after each request
Source = tuple[Listener, Callable[[], tuple[Any, Any]], Serve]  # one listener, how to take from it, what to do then


@dataclass(eq=False, slots=True)
class Lane:
    """Number, row on the scoreboard, and, once it runs, its thread. While it is busy, `peer` is whom it serves.

    Where connections may be still for so long only, `connection` is the one that is served, and `expired` the limit
    that it was ended for.
    """

    number: int
    row: "memoryview[int]"
    held: Held
    ident: int = 0
    peer: object = None
    connection: Any = None  # Any: a socket, or what a `get_request` made of one
    expired: str = ""
    left: threading.Event = field(default_factory=threading.Event)  # it takes no more, for good

    @property
    def busy(self) -> bool:
        return bool(self.row[SINCE])

    def expire(self, limit: str) -> None:
        """The connection is being ended for this limit: what becomes of its handler is no fault of that."""
        self.expired = limit

    def enter(self) -> None:
        self.ident = threading.get_ident()


def blocking(source: Source, bell: int) -> None:
    """Serve one listener until it is closed: accept(2) or recvfrom(2) is all the waiting there is."""
    listener, take, serve = source
    while True:
        try:
            what, peer = take()
        except OSError as error:
            taken = recover(listener, take, error, bell)
            if taken is None:
                return
            what, peer = taken
        serve(what, peer)
        what = taken = None  # or a connection that somebody else holds, or nobody, would live until the next


def polled(sources: Sequence[Source], bell: int, aside: After = None, every: float = 0.0) -> None:
    """Serve several listeners until all are closed: poll(2), then take one from each that has something.

    `aside` is called after each round, and `every` seconds where there is nothing to do.
    """
    patience = every * 1000 if aside is not None else None
    poll = select.poll()
    left = {source[0].sock.fileno(): source for source in sources}
    for fd in (*left, bell):
        poll.register(fd, select.POLLIN)
    for fd in left:
        os.set_blocking(fd, False)
    while left:
        ready = [fd for fd, _ in poll.poll(patience)]
        # Once the bell rings it stays readable: then every listener is tried until it is empty or closed.
        for fd in list(left) if bell in ready else ready:
            if not _one(*left[fd]):
                poll.unregister(fd)
                del left[fd]
        if aside is not None:
            aside()


def _one(listener: Listener, take: Callable[[], tuple[Any, Any]], serve: Serve) -> bool:
    """Take one if it is still there, and serve it; whether the listener is still open."""
    try:
        what, peer = take()
    except OSError as error:
        return get_over(listener, error)
    listener.shortage.over(listener)
    serve(what, peer)
    return True
