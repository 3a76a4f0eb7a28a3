"""The link of an event loop to the master: its messages are read also while the loop is blocked.

As long as the loop runs it reads the channel itself. If it is blocked its messages stay unread. Then the master
interrupts the worker (its module `delivery`) and a thread reads them: stacks are logged at once, the rest waits for the
loop.
Can go wrong: a loop that is stuck in C and holds the interpreter reads nothing; the master finds out.
"""

import _thread
import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from forkful.worker.ipc import messages, reload_messages
from forkful.worker.process import signals
from forkful.worker.process.signals import KICK

if TYPE_CHECKING:
    from types import FrameType

    from forkful.worker.ipc.channel import Channel

Heeded = messages.Drain | messages.Inherited | messages.Reopen | reload_messages.Mistaken | messages.Refused
Heed = Callable[[Heeded], None]


class MasterLink:
    """`heed` does what a message says, in the loop; `show` tells of stacks, in any thread; `gone`: the master is."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        channel: "Channel",
        *,
        heed: Heed,
        show: Callable[[], None],
        gone: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._channel = channel
        self._heed = heed
        self._show = show
        self._gone = gone
        self._reading = threading.Lock()

    def open(self) -> None:
        if not self._channel.closed:
            self._loop.add_reader(self._channel.fileno(), self._hear)
            signal.signal(KICK, self._kicked)

    def _hear(self) -> None:
        self._read(self._heed)
        if self._channel.closed:
            self._loop.remove_reader(self._channel.fileno())
            self._gone()

    def _read(self, heed: Heed) -> None:
        with self._reading:
            heard = self._channel.receive(messages.TO_WORKER)
        for message in heard:
            if isinstance(message, messages.Stacks):
                self._show()
            else:
                heed(message)

    def _kicked(self, _number: int, _frame: "FrameType | None") -> None:
        """Runs between any two steps of the user's code, so it only sees whether there is something to do."""
        if not self._channel.closed and signals.waits(self._channel.sock):
            with contextlib.suppress(RuntimeError):  # no more threads
                _thread.start_new_thread(self._read, (self._later,))

    def _later(self, message: Heeded) -> None:
        self._loop.call_soon_threadsafe(self._heed, message)
