"""The watcher of files, as the master knows it: its process, its channel, what it watches, and who sits at a prompt.

Only the methods here write it. Where there is a channel there is a process.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import field, replace

from forkful.conf.light import dataclass
from forkful.conf.plan import Plan
from forkful.master.policy.throttle import Strikes
from forkful.master.policy.watched import Rules
from forkful.worker.ipc.channel import Channel

Files = dict[str, tuple[str, ...]]  # names by directory


@dataclass(slots=True)
class WatchRecord:
    """Times are monotonic seconds."""

    pid: int = 0
    channel: Channel | None = None
    rules: Rules | None = None
    plan: Plan | None = None  # the last one that was to be served
    started_at: float = -math.inf
    left_at: float = 0.0  # when the last one went, Unix time; 0: there was none
    directories: int = 0  # that are watched
    strikes: Strikes = field(default_factory=Strikes)
    imported: Files = field(default_factory=dict)
    prompts: set[int] = field(default_factory=set)  # the process ids of those that somebody sits at
    given_up: int = 0  # generations in a row, for newer changes
    stands: Plan | None = None  # the plan that the next reload takes as it is, or that the last one took

    def started(self, pid: int, channel: Channel, rules: Rules, plan: Plan, now: float) -> None:
        self.pid, self.channel, self.rules, self.started_at = pid, channel, rules, now
        self.tries(plan)

    def tries(self, plan: Plan) -> None:
        """This plan is to be served."""
        self.plan = plan

    def sees(self, directories: int) -> None:
        self.directories = directories

    def gone(self, at: float) -> tuple[int, Channel | None]:
        """There is none from now on, Unix time; return its process and its channel, which is the caller's to close."""
        self.left_at = at
        pid, channel = self.pid, self.channel
        self.pid, self.channel, self.directories = 0, None, 0
        self.rules = None
        return pid, channel

    def strike(self, struck: Callable[[Strikes], Strikes]) -> None:
        """One more against it."""
        self.strikes = struck(self.strikes)

    def learn(self, files: Mapping[str, tuple[str, ...]]) -> Files:
        """These are imported; return those that are new."""
        news = {
            folder: left
            for folder, names in files.items()
            if (left := tuple(sorted({*names} - {*self.imported.get(folder, ())})))
        }
        for folder, names in news.items():
            self.imported[folder] = (*self.imported.get(folder, ()), *names)
        return news

    def gives_up(self) -> None:
        """One more generation, for a newer change."""
        self.given_up += 1

    def begins_anew(self) -> None:
        """Nothing was tried when the files changed."""
        self.given_up = 0

    def let_stand(self, plan: Plan | None) -> None:
        """No file of the settings has changed: the next reload is of the code alone. None: it reads them."""
        self.stands = replace(plan, warnings=()) if plan is not None else None

    def prompting(self, pid: int, *, now: bool) -> None:
        """Somebody has come to sit at a prompt of this process, or does no more."""
        (self.prompts.add if now else self.prompts.discard)(pid)
