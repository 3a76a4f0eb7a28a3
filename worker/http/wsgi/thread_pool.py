"""A bounded pool of threads beside an event loop: work goes to them one by one, what they did comes back in batches.

Threads of one interpreter take turns, so waking one costs more than what a small request does. The loop wakes one when
it has read all that was there, and lets go of the interpreter with the same call. As soon as it has it back, because
the work blocks or all of it is done, it sends what was done and wakes the next thread if something is left. So work
that never waits costs two changes of thread for a whole batch, and work that blocks has all threads at once.
The loop has the main thread, where signals arrive, and the application has others, with one thread as with many: so it
finds no event loop running, and what wants the main thread (`signal.signal`) fails in the same way with any number.
Can go wrong: what is posted to the loop raises: logged. All threads are stuck in their work: nobody else is `welcome`.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from forkful.worker.eventloop.acceptor import AT_ONCE
from forkful.worker.ipc.scoreboard import ASIDE, SINCE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

logger = logging.getLogger("forkful.worker")


class Work(Protocol):
    """What a thread does: `row` is its own on the scoreboard, `lock` guards the first, which the loop writes to too."""

    def serve(self, row: "memoryview[int]", lock: "threading.Lock | None", /) -> None: ...


class Pool:
    """One thread for each row."""

    def __init__(self, loop: "asyncio.AbstractEventLoop", rows: "Sequence[memoryview[int]]") -> None:
        self.lock = threading.Lock()
        self.serving: dict[int, Work] = {}  # what each thread is busy with, by its ident
        self._loop = loop
        self._rows = rows
        self._work: deque[Work | None] = deque()
        self._idle: list[int] = []  # eventfd(2) in which a thread sleeps, each
        self._coming = False  # a thread was woken and has taken nothing yet
        self._done: deque[tuple[Callable[[Any], None], Any]] = deque()  # Any: what the call takes
        self._told = False  # the loop will take a turn
        self._progress = True  # something was done since somebody was let in though there is enough to do

    def start(self) -> None:
        for number, row in enumerate(self._rows):
            row[ASIDE] = number > 0
            lock = self.lock if number == 0 else None
            threading.Thread(target=self._run, args=(row, lock), name=f"wsgi-{number}", daemon=True).start()

    def welcome(self) -> int:
        """How many more connections may come at once.

        While as many requests wait as there are threads, what comes had better wait in the kernel, for other workers,
        unless all threads sleep: then one takes it all within this turn of the loop. But then whoever keeps a
        connection would be served for ever and others never, so one may come in for each turn in which something was
        done.
        """
        waiting = len(self._work)
        if waiting < len(self._rows) or (waiting < AT_ONCE and len(self._idle) == len(self._rows)):
            return AT_ONCE
        progress, self._progress = self._progress, False
        return int(progress)

    @property
    def threads(self) -> int:
        return len(self._rows)

    @property
    def busy(self) -> int:
        """Threads that are at work, what waits for one, and what waits for the loop."""
        return sum(1 for row in self._rows if row[SINCE]) + len(self._work) + len(self._done)

    def stop(self) -> None:
        for _ in self._rows:
            self._work.append(None)
            self._wake()

    # -- to the threads ----------------------------------------------------------------------------------------------

    def put(self, work: Work) -> None:
        """Have a thread do this. For the loop."""
        self._work.append(work)
        if not self._told:
            self._told = True
            self._loop.call_soon(self._turn)

    def _wake(self) -> None:
        try:
            sleeper = self._idle.pop()
        except IndexError:  # all are at work; who finishes first takes it
            return
        self._coming = True
        os.eventfd_write(sleeper, 1)  # unlike a lock's release, this lets go of the interpreter: the thread gets both

    def _run(self, row: "memoryview[int]", lock: "threading.Lock | None") -> None:
        bed = os.eventfd(0, os.EFD_CLOEXEC)
        ident = threading.get_ident()
        while True:
            try:
                work = self._work.popleft()
            except IndexError:
                self._sleep(bed)
                continue
            if work is None:
                os.close(bed)
                return
            if self._work and not self._told:
                self._tell()  # if this blocks, the loop comes by and wakes the next
            self.serving[ident] = work
            try:
                work.serve(row, lock)
            except BaseException:
                logger.exception("serving a request failed")  # it sorts what the application does; this is ours
            del work, self.serving[ident]

    def _sleep(self, bed: int) -> None:
        self._idle.append(bed)
        if self._work:  # it came just now, before anybody could know that this thread sleeps
            try:
                self._idle.remove(bed)
            except ValueError:
                pass  # woken already: the read returns at once
            else:
                return
        os.eventfd_read(bed)
        self._coming = False

    @staticmethod
    def room() -> threading.Event:
        """What a thread waits for its client with."""
        return threading.Event()

    # -- to the loop -------------------------------------------------------------------------------------------------

    def post(self, call: Callable[[Any], None], argument: Any) -> None:  # Any: what the call takes
        """Have the loop do this, in the order in which it was posted. For threads."""
        self._done.append((call, argument))
        if not self._told:
            self._tell()

    def _tell(self) -> None:
        self._told = True
        self._loop.call_soon_threadsafe(self._turn)

    def _turn(self) -> None:
        """Once for all that came in and all that was done since the last time."""
        self._told = False  # first: what is posted from here on tells the loop again
        self._flush()
        while self._work and self._idle and not self._coming:
            self._told = True  # it need not ask: when it blocks or is done, this goes on
            self._wake()
            self._told = False
            self._flush()

    def _flush(self) -> None:
        done = self._done
        self._progress = self._progress or bool(done)
        while done:
            call, argument = done.popleft()
            try:
                call(argument)
            except Exception:
                logger.exception("handing an answer to its client failed")
