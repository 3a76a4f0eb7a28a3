"""Events of what the user has us run: functions of `hooks`, and the master's programs."""

import logging

from forkful.conf.light import dataclass
from forkful.master.model.events import Event


@dataclass(frozen=True, slots=True)
class HookFailed(Event):
    LEVEL = logging.DEBUG  # who ran it has said why
    TEXT = "{e.who}: hook {e.hook} failed"
    who: str
    pool: str
    hook: str


@dataclass(frozen=True, slots=True)
class CommandEnded(Event):
    TEXT = "{e.name}: its program {e.how}"
    name: str
    result: str
    how: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class CommandFailed(CommandEnded):
    LEVEL = logging.ERROR


@dataclass(frozen=True, slots=True)
class CommandSaid(Event):
    TEXT = "{e.name}[{e.pid}]: {e.line}"
    name: str
    pid: int
    line: str


@dataclass(frozen=True, slots=True)
class CommandWaits(Event):
    LEVEL = logging.WARNING
    TEXT = "{e.name}: its program still runs; what happens meanwhile is told to the next one together"
    name: str


@dataclass(frozen=True, slots=True)
class CommandMerged(Event):
    LEVEL = logging.DEBUG
    TEXT = "{e.name}: one event more waits for its program"
    name: str
