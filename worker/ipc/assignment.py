"""An assignment: all that a worker is told when it is cast, and nothing more."""

from dataclasses import field
from typing import TYPE_CHECKING, Any

from forkful.conf.light import dataclass
from forkful.conf.plan import LogPlan, PoolPlan

if TYPE_CHECKING:
    from forkful.conf.tls import ServerContext


@dataclass(frozen=True, slots=True)
class Assignment:
    """One worker's place: pool, slot, generation and rows. Printed the same everywhere."""

    plan: PoolPlan
    pool: int  # the pool's number on the scoreboard
    slot: int
    generation: int
    row: int  # the first of its rows on the scoreboard; lane n writes to `row + n`
    lanes: int
    listeners: tuple[int, ...] = ()  # descriptors, in the order of `numbers`
    numbers: tuple[int, ...] = ()  # for each listener its cell behind `scoreboard.ACCEPTED`
    contexts: "tuple[ServerContext | None, ...]" = ()  # for each listener what secures it
    peers: int = -1  # the descriptor of the pool's table of peers (`peer_table`); -1: it has no limits by address
    graceful_timeout: float = 30.0
    name: str = "forkful"
    log: LogPlan = field(default_factory=LogPlan)
    server: Any = None  # Any: the drop-in mode's own `socketserver.BaseServer`, already in this process

    def context(self, position: int) -> "ServerContext | None":
        """What secures a listener; None: it speaks plain."""
        return self.contexts[position] if self.contexts else None

    def __str__(self) -> str:
        return f"worker {self.plan.name}[{self.slot}] gen={self.generation}"
