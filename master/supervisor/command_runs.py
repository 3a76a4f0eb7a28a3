"""The programs that run for the master: which, until when, and what waits for its turn.

Only the methods here write it.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import field

from forkful.conf.light import dataclass
from forkful.master.policy import commands
from forkful.master.policy.commands import Call

LINES, WIDTH = 50, 1000  # of what a program says: so many lines, of so many characters


@dataclass(frozen=True, slots=True)
class Run:
    """One that runs. Times are monotonic seconds."""

    name: str
    pid: int
    began: float
    deadline: float


@dataclass(slots=True)
class Output:
    """What one says: `fd` is the end of a pipe that we read, and `rest` a line that has not ended."""

    fd: int
    rest: bytearray = field(default_factory=bytearray)
    said: int = 0
    unsaid: int = 0

    def close(self) -> None:
        os.close(self.fd)

    def lines(self, data: bytes, *, is_end: bool = False) -> list[str]:
        """Those to be told; what is too much is counted."""
        self.rest += data
        *whole, rest = bytes(self.rest).split(b"\n")
        if is_end or len(rest) > WIDTH:
            whole, rest = [*whole, rest], b""
        self.rest = bytearray(rest)
        found = [line.decode(errors="replace")[:WIDTH].rstrip() for line in whole if line.strip()]
        room = max(0, LINES - self.said)
        self.said += len(found)
        self.unsaid += len(found[room:])
        return found[:room]


@dataclass(slots=True)
class CommandRuns:
    """All of them. `until`: when all must have ended, because the service stops."""

    running: dict[int, Run] = field(default_factory=dict)
    waiting: dict[str, Call] = field(default_factory=dict)
    outputs: dict[int, Output] = field(default_factory=dict)
    killed: set[int] = field(default_factory=set)
    told: set[str] = field(default_factory=set)  # whose events were said to wait, until none does
    until: float = math.inf
    stops: bool = False  # nothing is begun any more but what waits

    def names(self) -> set[str]:
        return {run.name for run in self.running.values()}

    def ask(self, call: Call) -> bool:
        """Let it wait for its turn; return whether it is told together with one that waits already."""
        is_merged = call.name in self.waiting
        self.waiting = commands.waiting_with(call, self.waiting)
        return is_merged

    def begin(self, call: Call) -> None:
        """It does not wait any more."""
        del self.waiting[call.name]
        self.told.discard(call.name)

    def stop(self) -> list[Call]:
        """The service stops; return what will not be begun any more."""
        given_up, self.waiting, self.stops = [*self.waiting.values()], {}, True
        return given_up

    def first_told(self, name: str) -> bool:
        """Whether nobody was told yet that events of this kind wait."""
        is_news = name not in self.told
        self.told.add(name)
        return is_news

    def began(self, call: Call, pid: int, fd: int, now: float, patience: float) -> Run:
        run = Run(call.name, pid, now, min(now + patience, self.until))
        self.running[pid] = run
        self.outputs[pid] = Output(fd)
        return run

    def ended(self, pid: int) -> tuple[Run, Output | None, bool]:
        """What it was, what it said, and whether we have killed it."""
        was_killed = pid in self.killed
        self.killed.discard(pid)
        return self.running.pop(pid), self.outputs.pop(pid, None), was_killed

    def overdue(self, now: float) -> list[Run]:
        """Those whose time is over, each once."""
        late = [
            run for run in self.running.values() if min(run.deadline, self.until) <= now and run.pid not in self.killed
        ]
        self.killed |= {run.pid for run in late}
        return late

    def deadline(self) -> float:
        """When the next one is overdue."""
        times = (run.deadline for run in self.running.values() if run.pid not in self.killed)
        return min((min(time, self.until) for time in times), default=math.inf)

    def end_by(self, until: float) -> None:
        """The service stops: all must have ended by then."""
        self.until = min(self.until, until)

    def go_on(self, running: Mapping[int, Run]) -> None:
        """Those that the last image started; what they say has nobody who reads it any more."""
        self.running = dict(running)
