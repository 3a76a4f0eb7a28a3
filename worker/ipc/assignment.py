"""An assignment: all that a worker is told when it is cast, and nothing more."""

from dataclasses import dataclass, field
from typing import Any

from forkful.conf.plan import LogPlan, PoolPlan


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
    peers: int = -1  # the descriptor of the pool's table of peers (`peer_table`); -1: it has no limits by address
    graceful_timeout: float = 30.0
    name: str = "forkful"
    log: LogPlan = field(default_factory=LogPlan)
    server: Any = None  # Any: the drop-in mode's own `socketserver.BaseServer`, already in this process

    def __str__(self) -> str:
        return f"worker {self.plan.name}[{self.slot}] gen={self.generation}"
