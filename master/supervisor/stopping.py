"""The stop: what is known of a stop under way.

Only the methods here write it. Which stage follows is `policy.stop`'s, what is done there is `shutdown`'s.
"""

import math

from forkful.conf.light import dataclass
from forkful.master.policy import stop


@dataclass(slots=True)
class Stop:
    """A stop under way."""

    stage: stop.Stage = stop.Stage.UP
    why: str = ""
    barrier: int = -1  # a descriptor that ends when the service manager has let go of our listeners
    deadline: float = math.inf  # when patience with this stage ends

    @property
    def draining(self) -> bool:
        """No worker is wanted any more."""
        return self.stage in stop.EMPTYING

    @property
    def quick(self) -> bool:
        return self.stage is stop.Stage.QUITTING

    def because(self, why: str) -> None:
        """Who asked for it last."""
        self.why = why

    def enter(self, stage: stop.Stage, deadline: float) -> None:
        """A stage, and when patience with it ends."""
        self.stage, self.deadline = stage, deadline

    def allow(self, deadline: float) -> None:
        """The patience with this stage follows from the plan."""
        self.deadline = deadline

    def wait_at(self, barrier: int) -> None:
        """Until the manager has read what we said before."""
        self.barrier = barrier

    def pass_barrier(self) -> int:
        """The descriptor, which is the caller's to close; -1: there is none."""
        barrier, self.barrier = self.barrier, -1
        return barrier
