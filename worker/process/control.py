"""Control: the thread of a worker that waits for signals and for the master, so that lanes need not.

It sleeps until a signal, a command, or the end of the lifeline; its only timeouts are deadlines of a drain. A worker
with one lane does without this thread until there is something to do (`doze`): a second thread makes every malloc,
every hand-over of the GIL and every system call of the first one dearer, 5 % of the CPU per datagram.
A signal in the instant between the lane's last look and its accept(2) interrupts nothing. So who has told a worker
something interrupts it again until it was read: the master (its module `delivery`), and after its death the mold.
Can go wrong: the master dies. Then nobody is left to enforce `graceful_timeout`, and this thread does; only a single
lane that is stuck in C, and never comes back to the interpreter, is not ended then. SIGABRT shows its stack even so.
An operator's own SIGTERM, which nobody repeats, may in that instant wait for the next connection.
"""

import _thread
import logging
import math
import os
import selectors
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from forkful.conf import logs
from forkful.handlers.inheritance import inheritance
from forkful.worker.ipc import bequest, messages, reload_messages
from forkful.worker.ipc.assignment import Assignment
from forkful.worker.ipc.channel import Channel
from forkful.worker.process import signals, stacks
from forkful.worker.process.signals import Wakeup

logger = logging.getLogger("forkful.worker")

_CUT_OFF = 1  # exit code of an orphan whose handlers took longer than graceful_timeout


class Drain(Protocol):
    """What we ask of whoever can stop this worker's accepting."""

    @property
    def lanes(self) -> Sequence[stacks.Lane]: ...
    @property
    def begun(self) -> bool: ...
    @property
    def emptying(self) -> bool: ...
    def start(self, empty: Collection[int] = ()) -> None: ...
    def settle(self) -> None: ...
    def close(self) -> None: ...


class Control(threading.Thread):
    """One per worker, started before the handler is loaded. `drain` is None until there is something to drain."""

    def __init__(self, assignment: Assignment, channel: Channel, wakeup: Wakeup) -> None:
        super().__init__(name="control", daemon=True)
        self.drain: Drain | None = None
        self._assignment = assignment
        self._channel = channel
        self._wakeup = wakeup
        self._sending = threading.Lock()
        self.turn = threading.Event()  # nobody before us takes anything more from what is ours alone
        self._retiring = False
        self._awake = False
        self._over = False
        self._emptied_by = math.inf  # monotonic; when emptying ends
        self._over_by = math.inf  # monotonic; when an orphan ends

    def doze(self) -> None:
        """Wait without a thread: the kernel signals what comes over the channel, and `awake` is called."""
        if signals.arm(self._channel.sock):
            self.awake()

    def awake(self) -> None:
        """See that the thread runs. May be called from a Python signal handler, whatever the main thread is doing."""
        if not self._awake:
            self._awake = True
            # Thread.start() takes locks that the interrupted code may hold; so another thread calls it.
            _thread.start_new_thread(self.start, ())

    def nudged(self) -> None:
        """Somebody has interrupted the lane: see whether there is something that a signal should have told."""
        if not (self._awake or self._over) and signals.waits(self._channel.sock, self._wakeup.read):
            self.awake()

    def run(self) -> None:
        try:
            with selectors.PollSelector() as selector:  # not epoll: there may be no descriptor left to make one of
                selector.register(self._wakeup.read, selectors.EVENT_READ, self._on_wakeup)
                selector.register(self._channel, selectors.EVENT_READ, self._on_channel)
                while not self._over:
                    deadline = min(self._emptied_by, self._over_by)
                    patience = None if math.isinf(deadline) else max(0.0, deadline - time.monotonic())
                    for key, _ in selector.select(patience):
                        key.data()
                        if self._channel.closed and key.fileobj is self._channel:
                            selector.unregister(self._channel)
                    self._on_time(time.monotonic())
        except BaseException:
            logger.exception("%s: control failed", self._assignment)
            os._exit(1)

    # -- for lanes and the main thread -----------------------------------------------------------------------------

    def tell(self, event: messages.FromWorker, patience: float = 0.0, fds: Sequence[int] = ()) -> None:
        """Send an event to the master; wait up to `patience` seconds until it is all on its way."""
        deadline = time.monotonic() + patience
        with self._sending:
            if fds:
                self._flush(deadline)  # nothing may be before them
            self._channel.send(event, fds)
            self._flush(deadline)

    def _flush(self, deadline: float) -> None:
        while self._channel.pending and not self._channel.closed and time.monotonic() < deadline:
            time.sleep(0.01)
            self._channel.flush()

    def hand_over(self) -> None:
        """End this thread, for a loop that waits for all these things by itself."""
        self._over = True
        signals.disarm(self._channel.sock)
        if self._awake:
            self._wakeup.ring()
            while self.ident is None or self.is_alive():
                time.sleep(0.001)

    def retire(self, reason: str) -> None:
        """Ask the master for a successor, once; this worker serves until it is told to drain."""
        with self._sending:
            if self._retiring:
                return
            self._retiring = True
        self.tell(messages.Retiring(reason))

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_wakeup(self) -> None:
        for number in self._wakeup.heard():
            if number in signals.STOP:
                os._exit(0)
            if number in signals.DRAIN:
                self._asked_to_leave()

    def _on_channel(self) -> None:
        for message in self._channel.receive(messages.TO_WORKER):
            match message:
                case messages.Drain(empty=empty, timeout=timeout):
                    self._drain(empty, timeout)
                case messages.Inherited(some=some):
                    inheritance().came(bequest.read(self._channel.fds.pop(0)) if some else b"")
                    self.turn.set()
                case messages.Reopen():
                    logs.reopen()
                    stacks.on_signals(self._assignment.log)
                case messages.Stacks():
                    stacks.tell(self._assignment, self.drain.lanes if self.drain else ())
                case reload_messages.Mistaken():
                    pass  # there is no browser here
                case messages.Refused(why=why):
                    logger.warning(
                        "%s: ignored a message from the master that this version does not know: %s",
                        self._assignment,
                        why,
                    )
        if self._channel.closed:
            logger.warning("%s: the master has ended; this worker finishes its requests and leaves", self._assignment)
            self._over_by = time.monotonic() + self._assignment.graceful_timeout
            self.turn.set()
            self._drain(range(len(self._assignment.listeners)), self._assignment.graceful_timeout)

    def _on_time(self, now: float) -> None:
        if now >= self._emptied_by:
            self._emptied_by = math.inf
            if self.drain:
                self.drain.close()
                self.turn.set()
        if now >= self._over_by:
            logger.error(
                "%s: still busy after %g s without a master; leaving",
                self._assignment,
                self._assignment.graceful_timeout,
            )
            stacks.tell(self._assignment, self.drain.lanes if self.drain else ())
            os._exit(_CUT_OFF)

    def _asked_to_leave(self) -> None:
        """Somebody sends SIGTERM: the master has a successor ready first, and stops us like all others if it stops too.

        Whoever tells a whole process group or container has told the master as well, which knows how to lose nothing.
        """
        if self.drain is None or self.drain.begun or self._channel.closed:
            self._drain(())
        else:
            self.tell(messages.Retiring("signal"))

    def _drain(self, empty: Iterable[int], timeout: float = 0.0) -> None:
        if self.drain is None:  # still loading: there is nothing to finish
            os._exit(0)
        begun = self.drain.begun
        self.drain.start(frozenset(empty))
        if not begun:
            self.drain.settle()
            self.tell(messages.Draining())
        if self.drain.emptying:
            self._emptied_by = time.monotonic() + timeout / 2
        else:
            self.turn.set()  # which means nothing now: whoever waits for it finds the door closed
