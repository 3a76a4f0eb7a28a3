"""The transaction: what is known of a reload, an upgrade or the first start under way, and of how the last one ended.

Only the methods here write it. Which stage follows is `policy.transaction`'s, what is done there is `reload`'s.
"""

import math
from dataclasses import field
from enum import Enum
from typing import TYPE_CHECKING

from forkful.conf.light import dataclass
from forkful.conf.plan import Plan
from forkful.master.model.fleet import Failure
from forkful.master.policy.transaction import Stage
from forkful.master.supervisor.generations import Generation

if TYPE_CHECKING:
    from collections.abc import Callable

    from forkful.master.supervisor.bake import Bake
    from forkful.master.supervisor.state import State


class Kind(Enum):
    """What a transaction is for."""

    RELOAD = "reload"
    UPGRADE = "upgrade"
    ROLLBACK = "rollback"


@dataclass(slots=True)
class Helper:
    """A child that we sent for something, the settings or a probe: it brings what it wrote, and its exit code."""

    what: str
    back: "Callable[[State, Helper, float], None]"  # called when it has ended and all it wrote is here
    pid: int
    stdout: int
    stderr: int
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    code: int | None = None

    def ended(self, code: int) -> None:
        self.code = code

    def closed(self, fd: int) -> None:
        """It writes nothing more there."""
        if fd == self.stdout:
            self.stdout = -1
        else:
            self.stderr = -1


@dataclass(slots=True)
class Transaction:
    """Nothing of it is installed until it is whole.

    `waiters` are the numbers of the admin child's questions that its end will answer.
    """

    stage: Stage
    kind: Kind = Kind.RELOAD
    candidate: Generation | None = None
    waiters: list[int] = field(default_factory=list)
    asked: tuple[Kind, list[int]] = field(default_factory=lambda: (Kind.RELOAD, []))  # last, and who waits for it
    again: tuple[Kind, list[int]] | None = None  # what was asked for meanwhile, and who waits for it
    deadline: float = math.inf
    helper: Helper | None = None
    plan: Plan | None = None  # as it was read
    revives: bool = True  # workers that WINCH had retired: not if that came later
    failure: Failure | None = None  # why it ends, with the next look
    bake: "Bake | None" = None  # once canaries serve
    loops: set[str] = field(default_factory=set)  # pools that were in a crash loop before it
    why: str = ""  # of a roll-back: a word for the metrics, and what is told
    reason: str = ""

    @property
    def canary(self) -> str:
        """How many workers are tried before all others follow; "": none. What is had back has been tried."""
        if self.candidate is None or self.kind is Kind.ROLLBACK:
            return ""
        return self.candidate.plan.master.canary

    def ask(self, kind: Kind, waiters: list[int]) -> None:
        """Somebody wants one."""
        self.asked = (kind, waiters)

    def begin(self, kind: Kind | None = None) -> Kind:
        """It is for what was asked last; `kind`: whatever that was."""
        asked, self.waiters = self.asked
        self.kind = kind or asked
        return self.kind

    def ask_again(self) -> None:
        """What was asked last is for afterwards, with what was before."""
        kind, waiters = self.asked
        before, waiting = self.again or (kind, [])
        self.again = (Kind.UPGRADE if Kind.UPGRADE in (before, kind) else kind, waiting + waiters)  # it reloads, too

    def enter(self, stage: Stage, deadline: float) -> None:
        """A stage, and when patience with it ends."""
        self.stage, self.deadline = stage, deadline

    def allow(self, deadline: float) -> None:
        """The patience with this stage follows from the plan."""
        self.deadline = deadline

    def send(self, helper: Helper) -> None:
        self.helper = helper

    def helper_is_back(self) -> None:
        self.helper = None

    def read(self, plan: Plan) -> None:
        """This is what the settings say."""
        self.plan = plan

    def try_out(self, candidate: Generation) -> None:
        self.candidate = candidate

    def bakes(self, bake: "Bake") -> None:
        """Canaries serve."""
        self.bake = bake

    def crashed_before(self, loops: set[str]) -> None:
        """Which pools were in a crash loop when new workers came, whose accounts begin anew."""
        self.loops = loops

    def fail(self, failure: Failure) -> None:
        """It ends with the next look."""
        self.failure = failure

    def revive_nobody(self) -> None:
        """An operator has retired the workers meanwhile."""
        self.revives = False

    def lose_waiters(self) -> None:
        """Whom they asked is gone."""
        self.waiters.clear()

    def hand_on(self) -> list[int]:
        """What comes in its place answers those who wait, also for what was asked for meanwhile; return them."""
        waiting = [*self.waiters, *(self.again[1] if self.again is not None else ())]
        self.waiters, self.again = [], None
        return waiting


@dataclass(slots=True)
class LastReload:
    """How the last reload ended, for status, metrics and `reload --wait`. Times are Unix seconds."""

    successful: bool = True
    finished_at: float = 0.0
    success_at: float = 0.0
    message: str = ""
    traceback: str = ""

    def serves(self, at: float) -> None:
        """A generation has come to serve, be it the first."""
        self.success_at = at

    def succeeded(self, at: float, note: str) -> None:
        self.successful, self.finished_at, self.message, self.traceback = True, at, note, ""

    def failed(self, at: float, failure: Failure) -> None:
        self.successful, self.finished_at = False, at
        self.message, self.traceback = failure.message, failure.traceback
