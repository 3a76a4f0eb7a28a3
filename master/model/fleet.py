"""The fleet: records of the workers there are, as the master knows them.

Frozen: a change is a new record in the fleet's table, so that policy can be shown any moment of it.
"""

import math
from enum import Enum

from forkful.conf.light import dataclass


class Phase(Enum):
    """Where a worker is in its life."""

    STARTING = "cast, not yet serving"
    READY = "accepting"
    DRAINING = "finishing what it has, accepting nothing new"


class Patience(Enum):
    """What was done about a worker whose deadline passed."""

    WHOLE = "nothing yet"
    ABORTED = "told to dump its stacks and die"
    KILLED = "killed"


class Reason(Enum):
    """Why a worker left: the label of `forkful_worker_exits_total`, and a word in the log."""

    MAX_REQUESTS = "max_requests"
    MAX_AGE = "max_age"
    MAX_RSS = "max_rss"
    TIMEOUT = "timeout"
    OOM = "oom"
    SIGNAL = "signal"
    CRASH = "crash"
    BOOT_FAILED = "boot_failed"
    RELOAD = "reload"
    SCALE_DOWN = "scale_down"
    STOP = "stop"
    SHUTDOWN = "shutdown"  # its handler called server.shutdown()


@dataclass(frozen=True, slots=True)
class Failure:
    """What a worker, a mold or the settings' reader said of its failure. `kind` is load, boot or settings."""

    kind: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker. `token` names it before its process id is known; times are monotonic seconds."""

    token: int
    pool: str
    slot: int
    generation: int
    pid: int = 0
    phase: Phase = Phase.STARTING
    born: float = 0.0
    ready_at: float = math.inf
    deadline: float = math.inf  # when patience with this phase ends
    patience: Patience = Patience.WHOLE
    retiring: Reason | None = None  # it is used up and leaves once its successor is ready
    leaving: Reason | None = None  # it was told to drain, and why
    doomed: tuple[float, ...] = ()  # starts of what was late when it was condemned for that; the rest may finish
    claimed: int = 0  # the process id that it gave itself, for when its mold does not live to tell
    quiet: bool = False  # it has said that it accepts nothing more
    heir: bool = False  # it waits to hear what the worker before it in its slot has left
    holds: bool = False  # it has heard that: what is its slot's alone is its own
    passed: bool = False  # it has said that it has nothing in hand any more: the one after it may begin
    garbled: bool = False  # it said what no worker says, and is killed for that
    failure: Failure | None = None  # what it said before it died
    mold: int = 0  # the pid of the mold that was asked for it
    row: int = 0
    lanes: int = 1

    @property
    def served(self) -> bool:
        """Whether it was ever ready."""
        return math.isfinite(self.ready_at)

    def __str__(self) -> str:
        return f"worker {self.pool}[{self.slot}] gen={self.generation} pid={self.pid or '?'}"
