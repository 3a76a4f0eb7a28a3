"""The drain: the one switch by which a worker stops accepting, whoever asked for it.

Listeners are swapped for dead sockets, or first emptied, and then each lane that may be asleep in the kernel is
interrupted once: one that was blocked retries on the dead descriptor and leaves, one on its way in meets it at once.
Nothing is lost, since others' reference to the real socket is untouched.
A second call only closes what the first was still emptying.
"""

import os
import signal
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from forkful.handlers import Farewell
from forkful.worker.blocking.lane import Lane
from forkful.worker.blocking.listener import Listener
from forkful.worker.process.signals import KICK

_SETTLED_BY = 1.0  # seconds for interrupted lanes to run again on a machine that has other things to do
_GLANCE = 0.005


@dataclass(eq=False, slots=True)
class Drain:
    """What a worker lets go of when it drains."""

    listeners: Sequence[Listener]
    lanes: Sequence[Lane]
    farewell: Farewell
    kicked: threading.Event = field(default_factory=threading.Event)  # a lane may not end while it may be interrupted
    bell: int = field(default_factory=lambda: os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))  # readable: draining

    @property
    def begun(self) -> bool:
        return self.kicked.is_set()

    @property
    def emptying(self) -> bool:
        return any(listener.emptying and not listener.closed.is_set() for listener in self.listeners)

    def start(self, empty: Collection[int] = ()) -> None:
        """Drain; listeners at the positions in `empty` are emptied first. Only the control thread calls this."""
        if self.begun:
            self.close()
            return
        for listener in self.listeners:
            if listener.position in empty:
                listener.empty()
            else:
                listener.close()
        os.eventfd_write(self.bell, 1)
        for lane in self.lanes:
            if lane.ident and not lane.busy:
                signal.pthread_kill(lane.ident, KICK)
        self.kicked.set()
        self.farewell.begin()

    def settle(self) -> None:
        """Wait until nobody here can take any more, so that it is true when we say so.

        An interrupted lane may still be given a connection that came before it ran again, accept(2) looks for those
        first. So each has to have left, or to be serving, after which it meets the dead socket.
        """
        deadline = time.monotonic() + _SETTLED_BY
        for lane in self.lanes if not self.emptying else ():
            while lane.ident and not (lane.left.wait(_GLANCE) or lane.busy or time.monotonic() > deadline):
                pass

    def close(self) -> None:
        """Stop emptying. Nobody sleeps on these listeners any more, so nobody has to be interrupted."""
        for listener in self.listeners:
            listener.close()
