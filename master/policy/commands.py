"""Commands: which program an event asks for, with what it is told, and which may start now.

One program for each kind of event runs at a time. What happens meanwhile is told to one more together, with the latest
event's particulars and how many they were: so a crash loop starts no more programs than one after the other.
"""

from collections.abc import Collection, Mapping
from dataclasses import field, replace
from typing import Final

from forkful.conf.light import dataclass
from forkful.master.model.events import (
    Event,
    ReloadFailed,
    ReloadRolledBack,
    ReloadSucceeded,
    RollbackFailed,
    RollbackSucceeded,
    Serving,
    Stopping,
    UpgradeFailed,
    UpgradeRolledBack,
    UpgradeSucceeded,
    WorkerDied,
)

RESULTS: Final = ("success", "failure", "timeout", "merged", "dropped")
_LONGEST: Final = 2000  # characters of a value: what it says may come from a worker
_PREFIX: Final = "FORKFUL_"


@dataclass(frozen=True, slots=True)
class Call:
    """One program to run: the option that names it, and what it is told, by the end of the variables' names."""

    name: str
    told: Mapping[str, str] = field(default_factory=dict)
    count: int = 1  # events that it stands for

    def environ(self, pid: int) -> dict[str, str]:
        """What goes into its environment. `pid` is the master's, where the event has none of its own."""
        told = {"EVENT": self.name, "PID": str(pid), **self.told, "COUNT": str(self.count)}
        return {f"{_PREFIX}{key}": _plain(value) for key, value in told.items()}


def call_for(event: Event) -> Call | None:
    """The call that this event asks for."""
    match event:
        case Serving():
            return Call("on_ready", {"RESULT": "success"})
        case ReloadSucceeded(generation=generation):
            return Call("on_reload", {"KIND": _kind(event), "RESULT": "success", "GENERATION": str(generation)})
        case RollbackSucceeded(generation=generation, reason=why):
            told = {"KIND": "rollback", "RESULT": "success", "GENERATION": str(generation), "REASON": why}
            return Call("on_reload", told)
        case ReloadFailed(message=message):
            result = "rolled_back" if isinstance(event, ReloadRolledBack) else "failure"
            return Call("on_reload", {"KIND": _kind(event), "RESULT": result, "REASON": message})
        case WorkerDied(worker=worker, reason=reason, how=how):
            where = {"POOL": worker.pool, "SLOT": str(worker.slot), "GENERATION": str(worker.generation)}
            return Call("on_worker_lost", {**where, "PID": str(worker.pid), "REASON": reason.value, "HOW": how})
        case Stopping(why=why, quick=quick):
            return Call("on_stop", {"RESULT": "quick" if quick else "graceful", "REASON": why})
    return None


def _kind(event: Event) -> str:
    """What has ended."""
    match event:
        case UpgradeSucceeded() | UpgradeFailed() | UpgradeRolledBack():
            return "upgrade"
        case RollbackFailed():
            return "rollback"
    return "reload"


def waiting_with(call: Call, waiting: Mapping[str, Call]) -> dict[str, Call]:
    """Who waits once this one does, too."""
    before = waiting.get(call.name)
    return {**waiting, call.name: replace(call, count=before.count + call.count) if before is not None else call}


def due(waiting: Mapping[str, Call], running: Collection[str]) -> list[Call]:
    """Who may start now. `running` are the names of those that run."""
    return [call for call in waiting.values() if call.name not in running]


def _plain(value: str) -> str:
    """As it can stand in a variable, on one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in value[:_LONGEST]).split())
