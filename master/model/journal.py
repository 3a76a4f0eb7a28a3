"""The journal: turns events into log lines and counters, so the two cannot disagree.

A log that cannot be written is `forkful.conf.logs`' concern.
"""

import logging
from collections import Counter, defaultdict
from typing import Any, Self

from forkful.conf.hook_names import NAMES
from forkful.master.model.events import (
    Event,
    PeersMoved,
    ReloadFailed,
    ReloadRolledBack,
    ReloadSucceeded,
    RollbackFailed,
    RollbackSucceeded,
    UpgradeFailed,
    UpgradeRolledBack,
    UpgradeSucceeded,
    WorkerDied,
    WorkerGone,
    WorkerStarted,
)
from forkful.master.model.user_events import CommandEnded, CommandMerged, HookFailed
from forkful.master.model.wording import in_words

#: Why a new generation was given up after it had served; failed: the old one could not serve any more.
ROLLBACKS = ("canary", "abort", "overtaken", "command", "crash_loop", "failed")

log = logging.getLogger("forkful.master")


class Journal:
    """Counts by pool: worker starts, exits by reason, deaths. And the outcomes of reloads, upgrades and roll-backs."""

    def __init__(self) -> None:
        self.starts: Counter[str] = Counter()
        self.exits: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.deaths: Counter[str] = Counter()
        self.reloads: Counter[str] = Counter(success=0, failure=0, rolled_back=0)
        self.upgrades: Counter[str] = Counter(success=0, failure=0, rolled_back=0)
        self.rollbacks: Counter[str] = Counter(dict.fromkeys(ROLLBACKS, 0))
        self.failed_hooks: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.commands: defaultdict[str, Counter[str]] = defaultdict(Counter)  # runs by result
        self.news: list[Event] = []  # that nobody has taken up yet
        self.moved: defaultdict[str, float] = defaultdict(float)  # shares of its peers

    def report(self, event: Event) -> None:
        """Count it, then say it."""
        self.news.append(event)
        self._count(event)
        if log.isEnabledFor(event.LEVEL):
            log.log(event.LEVEL, "%s", in_words(event))

    def _count(self, event: Event) -> None:
        match event:
            case WorkerStarted(worker=worker):
                self.starts[worker.pool] += 1
            case WorkerGone(worker=worker, reason=reason):
                self.exits[worker.pool][reason.value] += 1
                self.deaths[worker.pool] += isinstance(event, WorkerDied)
            case PeersMoved(pool=pool, share=share):
                self.moved[pool] += share
            case _:
                self._count_outcome(event)
                self._count_what_users_run(event)

    def _count_outcome(self, event: Event) -> None:
        """Of a reload, an upgrade or a roll-back."""
        match event:
            case UpgradeRolledBack(why=why):
                self.upgrades["rolled_back"] += 1
                self.rollbacks[why] += 1
            case ReloadRolledBack(why=why):
                self.reloads["rolled_back"] += 1
                self.rollbacks[why] += 1
            case RollbackSucceeded(why=why):
                self.rollbacks[why] += 1
            case RollbackFailed():
                self.rollbacks["failed"] += 1
            case UpgradeFailed():
                self.upgrades["failure"] += 1
            case ReloadFailed():
                self.reloads["failure"] += 1
            case UpgradeSucceeded():
                self.upgrades["success"] += 1
            case ReloadSucceeded():
                self.reloads["success"] += 1

    def _count_what_users_run(self, event: Event) -> None:
        match event:
            case HookFailed(pool=pool, hook=hook) if hook in NAMES:  # else it is gossip
                self.failed_hooks[pool][hook] += 1
            case CommandEnded(name=name, result=result, count=count):
                self.commands[name][result] += count
            case CommandMerged(name=name):
                self.commands[name]["merged"] += 1

    def to_dict(self) -> dict[str, Any]:  # Any: JSON
        """All counters, as plain JSON, for the hand-over to the next image of the master."""
        return {
            "starts": dict(self.starts),
            "exits": {pool: dict(counts) for pool, counts in self.exits.items()},
            "deaths": dict(self.deaths),
            "reloads": dict(self.reloads),
            "upgrades": dict(self.upgrades),
            "failed_hooks": {pool: dict(counts) for pool, counts in self.failed_hooks.items()},
            "rollbacks": dict(self.rollbacks),
            "commands": {name: dict(counts) for name, counts in self.commands.items()},
            "moved": dict(self.moved),
        }

    @classmethod
    def of(cls, counters: dict[str, Any]) -> Self:
        """One that continues counting where the last image of the master stopped."""
        journal = cls()
        journal.starts.update(counters["starts"])
        journal.deaths.update(counters.get("deaths", {}))  # the last image may be of a version that counted none
        journal.reloads.update(counters["reloads"])
        journal.upgrades.update(counters["upgrades"])
        journal.rollbacks.update(counters.get("rollbacks", {}))
        journal.moved.update(counters.get("moved", {}))
        for pool, counts in counters["exits"].items():
            journal.exits[pool].update(counts)
        for pool, counts in counters.get("failed_hooks", {}).items():
            journal.failed_hooks[pool].update(counts)
        for name, counts in counters.get("commands", {}).items():
            journal.commands[name].update(counts)
        return journal
