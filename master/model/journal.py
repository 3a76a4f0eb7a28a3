"""The journal: turns events into log lines and counters, so the two cannot disagree.

A log that cannot be written is `forkful.conf.logs`' concern.
"""

import logging
from collections import Counter, defaultdict
from typing import Any, Self

from forkful.master.model.events import (
    Event,
    HookFailed,
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
        self.moved: defaultdict[str, float] = defaultdict(float)  # shares of its peers

    def report(self, event: Event) -> None:
        """Count it, then say it."""
        match event:
            case WorkerStarted(worker=worker):
                self.starts[worker.pool] += 1
            case WorkerGone(worker=worker, reason=reason):
                self.exits[worker.pool][reason.value] += 1
                self.deaths[worker.pool] += isinstance(event, WorkerDied)
            case PeersMoved(pool=pool, share=share):
                self.moved[pool] += share
            case HookFailed(pool=pool, hook=hook):
                self.failed_hooks[pool][hook] += 1
            case _:
                self._count_outcome(event)
        if log.isEnabledFor(event.LEVEL):
            log.log(event.LEVEL, "%s", event.TEXT.format(e=event))

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
        return journal
