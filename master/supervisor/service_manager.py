"""The service manager, as we know it: where it hears us, and when it wants a sign of life.

Can go wrong: nothing here; what the notifier cannot send is its own affair.
"""

import math
from dataclasses import field

from forkful.conf.light import dataclass
from forkful.master.system.sd_notify import Notifier


@dataclass(slots=True)
class ServiceManager:
    """Only the methods here write it. Times are monotonic seconds."""

    notifier: Notifier = field(default_factory=Notifier)
    watchdog_every: float = math.inf
    watchdog_at: float = 0.0

    def expects_signs(self, every: float) -> None:
        """It wants a sign of life so often (seconds)."""
        self.watchdog_every = every

    def give_sign(self, now: float) -> float:
        """Tell it that the loop turns, if that is due; return when to do so again."""
        if self.watchdog_at <= now:
            self.watchdog_at = now + self.watchdog_every
            if math.isfinite(self.watchdog_every):
                self.notifier.send(WATCHDOG=1)
        return self.watchdog_at
