"""Events: what happened in the service, in the past tense. The journal turns them into log lines and counters."""

import logging
from typing import ClassVar, dataclass_transform

from forkful.master.model.fleet import Reason, Worker


@dataclass_transform(frozen_default=True)
class Event:
    """Something that happened. `TEXT` is formatted with the event itself as `e`.

    A frozen value with the annotated fields, as a dataclass is, whose methods are common to all: fifty frozen
    dataclasses took 70 ms of each start, for each has its methods compiled.
    """

    LEVEL: ClassVar[int] = logging.INFO
    TEXT: ClassVar[str] = ""
    FIELDS: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        own = (name for name, kind in vars(cls).get("__annotations__", {}).items() if "ClassVar" not in str(kind))
        cls.FIELDS = tuple(dict.fromkeys((*cls.FIELDS, *own)))

    def __init__(self, *args: object, **named: object) -> None:
        values = dict(zip(self.FIELDS, args, strict=False)) | named
        wrong = [name for name in self.FIELDS if name not in values and not hasattr(type(self), name)]
        if wrong or len(args) + len(named) != len(values) or values.keys() - set(self.FIELDS):
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(self.FIELDS)}; got {args}, {named}")
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name}: what happened does not change")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        said = zip(self.FIELDS, self._values(), strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in said)})"

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.FIELDS)


class MasterStarted(Event):
    TEXT = "{e.name} {e.version}: master pid={e.pid}, Python {e.python}"
    name: str
    version: str
    pid: int
    python: str


class MasterUpgraded(Event):
    TEXT = "upgraded in place to {e.name} {e.version}: master pid={e.pid}, Python {e.python}, {e.workers} workers kept"
    name: str
    version: str
    pid: int
    python: str
    workers: int


class Listening(Event):
    TEXT = (
        "pool {e.pool}: listening on {e.address} (workers={e.workers}{e.why}, threads={e.threads}, handler {e.handler})"
    )
    pool: str
    address: str
    workers: int
    why: str
    threads: int
    handler: str


class Serving(Event):
    TEXT = "serving: {e.pools} pool(s), {e.workers} worker(s) ready"
    pools: int
    workers: int


class AdminListening(Event):
    TEXT = "admin: listening on {e.address}"
    address: str


class ListenerClosed(Event):
    TEXT = "closed {e.address}: no pool uses it any more"
    address: str


class Warned(Event):
    LEVEL = logging.WARNING
    TEXT = "{e.text}"
    text: str


class Noted(Event):
    TEXT = "{e.text}"
    text: str


class MoldStarted(Event):
    LEVEL = logging.DEBUG
    TEXT = "mold gen={e.generation} pid={e.pid}: started"
    generation: int
    pid: int


class MoldGone(Event):
    LEVEL = logging.ERROR
    TEXT = "mold gen={e.generation} pid={e.pid}: {e.how}; it is replaced"
    generation: int
    pid: int
    how: str


class AdminGone(Event):
    LEVEL = logging.ERROR
    TEXT = "admin pid={e.pid}: {e.how}; it is replaced"
    pid: int
    how: str


class AdminHung(Event):
    LEVEL = logging.ERROR
    TEXT = "admin pid={e.pid}: hangs, and has for {e.seconds:g} s; it is killed and replaced"
    pid: int
    seconds: float


class NotUnderstood(Event):
    LEVEL = logging.ERROR
    TEXT = "{e.who}: said what the master does not understand, and is killed and replaced: {e.why}"
    who: str
    why: str


class WorkerStarted(Event):
    LEVEL = logging.DEBUG
    TEXT = "{e.worker}: started"
    worker: Worker


class WorkerReady(Event):
    TEXT = "{e.worker}: ready after {e.seconds:.2f} s"
    worker: Worker
    seconds: float


class WorkerRetiring(Event):
    TEXT = "{e.worker}: used up ({e.reason.value}), its successor is started"
    worker: Worker
    reason: Reason


class WorkerDraining(Event):
    TEXT = "{e.worker}: draining ({e.reason.value})"
    worker: Worker
    reason: Reason


class WorkerOverdue(Event):
    LEVEL = logging.ERROR
    TEXT = "{e.worker}: {e.what}; {e.action}"
    worker: Worker
    what: str
    action: str


class RequestOverdue(Event):
    LEVEL = logging.ERROR
    TEXT = "{e.worker}: {e.requests} request(s) beyond the pool's timeout, the oldest for {e.seconds:.1f} s; {e.action}"
    worker: Worker
    requests: int
    seconds: float
    action: str


class LoopBlocked(Event):
    LEVEL = logging.ERROR
    TEXT = "{e.worker}: its event loop is blocked beyond the pool's timeout, for {e.seconds:.1f} s; {e.action}"
    worker: Worker
    seconds: float
    action: str


class WorkerGone(Event):
    TEXT = "{e.worker}: gone ({e.reason.value}), {e.how}"
    worker: Worker
    reason: Reason
    how: str


class WorkerDied(WorkerGone):
    LEVEL = logging.ERROR
    TEXT = "{e.worker}: died ({e.reason.value}), {e.how}{e.detail}"
    detail: str = ""


class HookFailed(Event):
    LEVEL = logging.DEBUG  # who ran it has said why
    TEXT = "{e.who}: hook {e.hook} failed"
    who: str
    pool: str
    hook: str


class Throttled(Event):
    LEVEL = logging.WARNING
    TEXT = "pool {e.pool}, slot {e.slot}: {e.count} deaths in a row, next start in {e.seconds:.1f} s{e.unless}"
    pool: str
    slot: int
    count: int
    seconds: float
    unless: str = ""


class ReloadStarted(Event):
    TEXT = "{e.kind}: generation {e.generation} is being tried, generation {e.previous} goes on serving"
    kind: str
    generation: int
    previous: int


class FilesChanged(Event):
    TEXT = "{e.file} has changed{e.others}"
    file: str
    more: int

    @property
    def others(self) -> str:
        return f", and {self.more} more" if self.more else ""


class FilesWatched(Event):
    TEXT = "files are watched, in {e.directories} directories"
    directories: int


class ReloadSuperseded(Event):
    LEVEL = logging.DEBUG
    TEXT = "generation {e.generation} is given up: the files have changed once more"
    generation: int


class Waiting(Event):
    TEXT = "waiting until a file changes; browsers are shown what is wrong"


class ReloadSucceeded(Event):
    TEXT = "reload: generation {e.generation} serves{e.note}"
    generation: int
    note: str = ""


class UpgradeSucceeded(ReloadSucceeded):
    TEXT = "upgrade: generation {e.generation} serves{e.note}"


class ReloadFailed(Event):
    LEVEL = logging.ERROR
    TEXT = "reload failed, the old generation goes on serving: {e.message}{e.trace}"
    message: str
    traceback: str = ""

    @property
    def trace(self) -> str:
        return f"\n{self.traceback.rstrip()}" if self.traceback else ""


class UpgradeFailed(ReloadFailed):
    TEXT = "upgrade failed, nothing changed: {e.message}{e.trace}"


class ReloadRolledBack(ReloadFailed):
    """Canaries were worse, or somebody wanted them gone: `why` is canary, abort or overtaken."""

    TEXT = "reload: {e.message}{e.trace}"
    why: str = "canary"


class UpgradeRolledBack(ReloadRolledBack):
    TEXT = "upgrade: {e.message}{e.trace}"


class BakeStarted(Event):
    TEXT = (
        "canary: {e.workers} worker(s) of generation {e.generation} serve beside generation {e.previous}, "
        "for {e.seconds:g} s"
    )
    generation: int
    previous: int
    workers: int
    seconds: float


class SpareKept(Event):
    TEXT = "generation {e.generation} can be had back for {e.seconds:g} s: forkful rollback"
    generation: int
    seconds: float


class SpareLost(Event):
    LEVEL = logging.WARNING
    TEXT = "generation {e.generation} cannot be had back: {e.why}"
    generation: int
    why: str


class RollbackStarted(Event):
    LEVEL = logging.WARNING
    TEXT = "rollback: generation {e.generation} comes back, generation {e.previous} goes on serving until then: {e.why}"
    generation: int
    previous: int
    why: str


class RollbackSucceeded(Event):
    LEVEL = logging.WARNING
    TEXT = "rollback: generation {e.generation} serves again, in place of generation {e.previous}: {e.reason}; {e.note}"
    generation: int
    previous: int
    why: str  # a word: command or crash_loop
    reason: str
    note: str


class RollbackFailed(ReloadFailed):
    TEXT = "rollback failed, the new generation goes on serving: {e.message}{e.trace}"


class UpgradeProbed(Event):
    TEXT = "upgrade: the new installation passed its test, switching to it now"


class StartFailed(Event):
    LEVEL = logging.CRITICAL
    TEXT = "cannot start: {e.message}{e.trace}"
    message: str
    traceback: str = ""

    @property
    def trace(self) -> str:
        return f"\n{self.traceback.rstrip()}" if self.traceback else ""


class Scaled(Event):
    TEXT = "pool {e.pool}: the target is now {e.target} workers ({e.why})"
    pool: str
    target: int
    why: str


class PeersMoved(Event):
    TEXT = (
        "pool {e.pool}: peers are spread over {e.after} workers now, not over {e.before}: {e.share:.0%} of them have "
        "another one"
    )
    pool: str
    before: int
    after: int
    share: float


class NotBequeathed(Event):
    LEVEL = logging.WARNING
    TEXT = "{e.worker}: what it left to its successor is not handed over: {e.why}"
    worker: Worker
    why: str


class Stopping(Event):
    TEXT = "stopping{e.how}"
    how: str


class Stopped(Event):
    TEXT = "stopped"
