"""Connections that somebody holds although their handler has returned: a thread of the program's own, most often.

A lane is free for the next one then, but the connection is in flight until its socket is closed, whoever does that, and
a worker that drains waits for it. Nobody can say whether it does anything, so no deadline applies to it.
Can go wrong: a descriptor was taken out of its socket object (`detach`): only the kernel can tell when that is closed,
so as long as there is such a one, a thread looks now and then.
"""

import contextlib
import itertools
import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from forkful.worker.ipc.scoreboard import HELD, HELD_SINCE
from forkful.worker.net.counted_socket import tell_when_closed

_LOOK = 0.1  # seconds between two looks at descriptors that were taken out

Descriptor = tuple[int, int]  # its number, and the inode by which it is known when the number is used again

Left = Callable[[], object] | None


class Held:
    """Those of one worker. The two cells of its first row are written here alone, under a lock."""

    def __init__(self, row: "memoryview[int]") -> None:
        self._row = row
        self._change = threading.Condition()
        self._tokens = itertools.count()
        self._open: dict[int, int] = {}  # since when (monotonic ns)
        self._left: dict[int, Callable[[], object]] = {}  # what is called when they are closed
        self._taken: dict[int, Descriptor] = {}
        self._followed: dict[int, weakref.ref[Any]] = {}  # Any: a socket

    def see(self, request: Any, since: int, left: Left = None) -> None:  # Any: a socket, or what was made of one
        """The handler of this connection has returned: if it is still open, somebody holds it.

        `left` is called when it is closed.
        """
        taken = getattr(request, "taken", None)
        if taken is None and isinstance(request, socket.socket) and request.fileno() >= 0:
            self._follow(request, since, left)
        elif taken is not None and _is_open(taken):
            self._watch(taken, since, left)
        elif left is not None:
            left()

    def all(self) -> Iterator[tuple[int, Any]]:  # Any: a socket
        """What is held, each with a number of its own; of what was taken out of its object another descriptor."""
        with self._change:
            followed, taken = [*self._followed.items()], [*self._taken.items()]
        for token, reference in followed:
            if (sock := reference()) is not None:
                yield token, sock
        for token, descriptor in taken:
            with again(descriptor) as sock:
                yield token, sock

    def wait(self) -> None:
        """Until nobody holds any."""
        with self._change:
            self._change.wait_for(lambda: not self._open)

    def _follow(self, request: Any, since: int, left: Left) -> None:  # Any: attributes are set
        token = next(self._tokens)
        gone = partial(self._gone, token)
        self._add(token, since, left)
        with self._change:
            self._followed[token] = weakref.ref(request)
        weakref.finalize(request, gone).atexit = False  # whoever held it has dropped it
        tell_when_closed(request, gone)
        if hasattr(request, "too_late"):
            request.too_late = _nothing  # that its lane would be told of is another one by then
        if request.fileno() < 0:  # closed meanwhile
            gone()

    def _watch(self, taken: Descriptor, since: int, left: Left) -> None:
        token = next(self._tokens)
        self._add(token, since, left)
        with self._change:
            self._taken[token] = taken
            if len(self._taken) == 1:
                threading.Thread(target=self._look, name="held connections", daemon=True).start()

    def _look(self) -> None:
        while True:
            with self._change:
                self._change.wait(_LOOK)
                over = [token for token, taken in self._taken.items() if not _is_open(taken)]
                for token in over:
                    del self._taken[token]
                    self._gone(token)
                if not self._taken:
                    return

    def _add(self, token: int, since: int, left: Left) -> None:
        with self._change:
            self._open[token] = since
            if left is not None:
                self._left[token] = left
            self._write()

    def _gone(self, token: int) -> None:
        """It is closed. May be told twice, and by any thread."""
        with self._change:
            if self._open.pop(token, None) is not None:
                self._write()
                self._change.notify_all()
            left = self._left.pop(token, None)
            self._followed.pop(token, None)
        if left is not None:
            left()

    def _write(self) -> None:
        self._row[HELD_SINCE] = min(self._open.values(), default=0)
        self._row[HELD] = len(self._open)


def _nothing() -> None: ...


@contextlib.contextmanager
def again(taken: Descriptor) -> Iterator[socket.socket | None]:
    """The connection behind a descriptor that was taken out of its object, as by TLS; None: it is closed."""
    try:
        found = socket.socket(fileno=os.dup(taken[0]))
    except OSError:
        yield None
        return
    with found:
        yield found if os.fstat(found.fileno()).st_ino == taken[1] else None


def _is_open(taken: Descriptor) -> bool:
    try:
        return os.fstat(taken[0]).st_ino == taken[1]
    except OSError:
        return False
