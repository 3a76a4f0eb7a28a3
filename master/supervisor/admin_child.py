"""The admin child, as the master knows it: its process, its channel, and the listeners that it is given.

Only the methods here write it. Where there is a channel there is a process.
"""

import math
from collections.abc import Callable
from dataclasses import field

from forkful.conf.light import dataclass
from forkful.master.policy.throttle import Strikes
from forkful.master.system.listeners import Listener
from forkful.worker.ipc.channel import Channel


@dataclass(slots=True)
class AdminRecord:
    """Times are monotonic seconds."""

    listeners: list[Listener] = field(default_factory=list)
    pid: int = 0
    channel: Channel | None = None
    strikes: Strikes = field(default_factory=Strikes)
    ready_at: float = math.inf
    garbled: bool = False  # it said what no admin child says, and is killed for that
    woken_at: float = math.inf  # when it was told to show that it turns; inf: it has, or was not told
    is_first: bool = True  # the one that is started next has had none before it
    replace_at: float = math.inf  # it is of the version before an upgrade, and still has answers to deliver
    has_turned: bool = False  # it has begun: until then it may still be importing
    is_polite: bool = False  # it knows `Leave`; one of a version before that word only knows the end of its channel
    leaves_by: float = math.inf  # it was asked to leave, and loses its channel then; inf: it was not

    def listen(self, listener: Listener) -> None:
        """It serves this one, too, from its next start."""
        self.listeners.append(listener)

    def leave_out_closed(self) -> None:
        """It has only the listeners that are open here."""
        self.listeners = [x for x in self.listeners if x.is_open]

    def started(self, pid: int, channel: Channel, now: float) -> None:
        self.is_first, self.is_polite, self.leaves_by, self.has_turned = False, True, math.inf, False
        self.pid, self.channel, self.garbled, self.ready_at, self.woken_at = pid, channel, False, now, math.inf

    def woken(self, now: float) -> None:
        """It was told to show that it turns."""
        self.woken_at = now

    def turns(self) -> None:
        """It has shown it, or is not waited for any more."""
        self.woken_at, self.has_turned = math.inf, True

    def misspoke(self) -> bool:
        """It said what no admin child says; return whether that is news."""
        is_news, self.garbled = not self.garbled, True
        return is_news

    def replace_from(self, then: float) -> None:
        """It stays until then, for the answers that it still has to deliver."""
        self.replace_at = then

    def asked_to_leave(self, by: float) -> None:
        """It takes nobody more, and goes when whom it has taken is answered, or loses its channel then."""
        self.replace_at, self.leaves_by = math.inf, by

    @property
    def is_leaving(self) -> bool:
        return math.isfinite(self.leaves_by)

    def dismiss(self) -> tuple[int, Channel | None]:
        """It is let go: its process, if there is one, and its channel, which is the caller's to close."""
        self.replace_at = math.inf
        pid = self.pid
        return pid, self.gone()

    def gone(self) -> Channel | None:
        """There is none now; return its channel, which is the caller's to close."""
        channel, self.pid, self.channel, self.leaves_by = self.channel, 0, None, math.inf
        return channel

    def strike(self, struck: Callable[[Strikes], Strikes]) -> None:
        """One more against it."""
        self.strikes = struck(self.strikes)
