"""Events: what happened in the service, in the past tense. The journal turns them into log lines and counters."""

import logging
from typing import ClassVar

from forkful.conf.light import dataclass
from forkful.master.model.fleet import Reason, Worker

SERVES, SERVES_NOBODY = "goes on serving", "has no worker that serves"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `TEXT` is formatted with the event itself as `e`."""

    LEVEL: ClassVar[int] = logging.INFO
    TEXT: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class MasterStarted(Event):
    TEXT = "{e.name} {e.version}: master pid={e.pid}, Python {e.python}, HTTP {e.code}"
    name: str
    version: str
    pid: int
    python: str
    code: str  # what serves HTTP: compiled or pure


@dataclass(frozen=True, slots=True)
class MasterUpgraded(Event):
    TEXT = "upgraded in place to {e.name} {e.version}: pid={e.pid}, Python {e.python}, HTTP {e.code}, {e.workers} kept"
    name: str
    version: str
    pid: int
    python: str
    code: str
    workers: int


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Serving(Event):
    TEXT = "serving: {e.pools} pool(s), {e.workers} worker(s) ready"
    pools: int
    workers: int


@dataclass(frozen=True, slots=True)
class AdminListening(Event):
    TEXT = "admin: listening on {e.address}"
    address: str


@dataclass(frozen=True, slots=True)
class ListenerClosed(Event):
    TEXT = "closed {e.address}: no pool uses it any more"
    address: str


@dataclass(frozen=True, slots=True)
class Warned(Event):
    LEVEL = logging.WARNING
    TEXT = "{e.text}"
    text: str


@dataclass(frozen=True, slots=True)
class Noted(Event):
    TEXT = "{e.text}"
    text: str


@dataclass(frozen=True, slots=True)
class MoldStarted(Event):
    LEVEL = logging.DEBUG
    TEXT = "mold gen={e.generation} pid={e.pid}: started"
    generation: int
    pid: int


@dataclass(frozen=True, slots=True)
class MoldGone(Event):
    LEVEL = logging.ERROR
    TEXT = "mold gen={e.generation} pid={e.pid}: {e.how}; it is replaced"
    generation: int
    pid: int
    how: str


@dataclass(frozen=True, slots=True)
class AdminGone(Event):
    LEVEL = logging.ERROR
    TEXT = "admin pid={e.pid}: {e.how}; it is replaced"
    pid: int
    how: str


@dataclass(frozen=True, slots=True)
class AdminHung(Event):
    LEVEL = logging.ERROR
    TEXT = "admin pid={e.pid}: hangs, and has for {e.seconds:g} s; it is killed and replaced"
    pid: int
    seconds: float


@dataclass(frozen=True, slots=True)
class NotUnderstood(Event):
    LEVEL = logging.ERROR
    TEXT = "{e.who}: said what the master does not understand, and is killed and replaced: {e.why}"
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class WorkerStarted(Event):
    LEVEL = logging.DEBUG
    TEXT = "{e.worker}: started"
    worker: Worker


@dataclass(frozen=True, slots=True)
class WorkerReady(Event):
    TEXT = "{e.worker}: ready after {e.seconds:.2f} s"
    worker: Worker
    seconds: float


@dataclass(frozen=True, slots=True)
class WorkerRetiring(Event):
    TEXT = "{e.worker}: used up ({e.reason.value}), its successor is started"
    worker: Worker
    reason: Reason


@dataclass(frozen=True, slots=True)
class WorkerDraining(Event):
    TEXT = "{e.worker}: draining ({e.reason.value})"
    worker: Worker
    reason: Reason


@dataclass(frozen=True, slots=True)
class WorkerOverdue(Event):
    LEVEL = logging.ERROR
    TEXT = "{e.worker}: {e.what}; {e.action}"
    worker: Worker
    what: str
    action: str


@dataclass(frozen=True, slots=True)
class RequestOverdue(Event):
    LEVEL = logging.ERROR
    TEXT = "{e.worker}: {e.requests} request(s) beyond the pool's timeout, the oldest for {e.seconds:.1f} s; {e.action}"
    worker: Worker
    requests: int
    seconds: float
    action: str


@dataclass(frozen=True, slots=True)
class LoopBlocked(Event):
    LEVEL = logging.ERROR
    TEXT = "{e.worker}: its event loop is blocked beyond the pool's timeout, for {e.seconds:.1f} s; {e.action}"
    worker: Worker
    seconds: float
    action: str


@dataclass(frozen=True, slots=True)
class WorkerGone(Event):
    TEXT = "{e.worker}: gone ({e.reason.value}), {e.how}"
    worker: Worker
    reason: Reason
    how: str


@dataclass(frozen=True, slots=True)
class WorkerDied(WorkerGone):
    LEVEL = logging.ERROR
    TEXT = "{e.worker}: died ({e.reason.value}), {e.how}{e.detail}"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Throttled(Event):
    LEVEL = logging.WARNING
    TEXT = "pool {e.pool}, slot {e.slot}: {e.count} deaths in a row, next start in {e.seconds:.1f} s{e.unless}"
    pool: str
    slot: int
    count: int
    seconds: float
    unless: str = ""


@dataclass(frozen=True, slots=True)
class ReloadStarted(Event):
    TEXT = "{e.kind}: generation {e.generation} is being tried, generation {e.previous} {e.meanwhile}"
    kind: str
    generation: int
    previous: int
    meanwhile: str = SERVES


@dataclass(frozen=True, slots=True)
class FilesChanged(Event):
    TEXT = "{e.file} has changed{e.others}"
    file: str
    more: int

    @property
    def others(self) -> str:
        return f", and {self.more} more" if self.more else ""


@dataclass(frozen=True, slots=True)
class FilesWatched(Event):
    TEXT = "files are watched, in {e.directories} directories"
    directories: int


@dataclass(frozen=True, slots=True)
class ReloadSuperseded(Event):
    LEVEL = logging.DEBUG
    TEXT = "generation {e.generation} is given up: the files have changed once more"
    generation: int


@dataclass(frozen=True, slots=True)
class Waiting(Event):
    TEXT = "waiting until a file changes; browsers are shown what is wrong"


@dataclass(frozen=True, slots=True)
class ReloadSucceeded(Event):
    TEXT = "reload: generation {e.generation} serves{e.note}"
    generation: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class UpgradeSucceeded(ReloadSucceeded):
    TEXT = "upgrade: generation {e.generation} serves{e.note}"


@dataclass(frozen=True, slots=True)
class ReloadFailed(Event):
    LEVEL = logging.ERROR
    TEXT = "reload failed, the old generation {e.meanwhile}: {e.message}{e.trace}"
    message: str
    traceback: str = ""
    meanwhile: str = SERVES

    @property
    def trace(self) -> str:
        return f"\n{self.traceback.rstrip()}" if self.traceback else ""


@dataclass(frozen=True, slots=True)
class UpgradeFailed(ReloadFailed):
    TEXT = "upgrade failed, nothing changed: {e.message}{e.trace}"


@dataclass(frozen=True, slots=True)
class ReloadRolledBack(ReloadFailed):
    """Canaries were worse, or somebody wanted them gone: `why` is canary, abort or overtaken."""

    TEXT = "reload: {e.message}{e.trace}"
    why: str = "canary"


@dataclass(frozen=True, slots=True)
class UpgradeRolledBack(ReloadRolledBack):
    TEXT = "upgrade: {e.message}{e.trace}"


@dataclass(frozen=True, slots=True)
class BakeStarted(Event):
    TEXT = (
        "canary: {e.workers} worker(s) of generation {e.generation} serve beside generation {e.previous}, "
        "for {e.seconds:g} s"
    )
    generation: int
    previous: int
    workers: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SpareKept(Event):
    TEXT = "generation {e.generation} can be had back for {e.seconds:g} s: forkful rollback"
    generation: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SpareLost(Event):
    LEVEL = logging.WARNING
    TEXT = "generation {e.generation} cannot be had back: {e.why}"
    generation: int
    why: str


@dataclass(frozen=True, slots=True)
class RollbackStarted(Event):
    LEVEL = logging.WARNING
    TEXT = "rollback: generation {e.generation} comes back, generation {e.previous} {e.meanwhile} until then: {e.why}"
    generation: int
    previous: int
    why: str
    meanwhile: str = SERVES


@dataclass(frozen=True, slots=True)
class RollbackSucceeded(Event):
    LEVEL = logging.WARNING
    TEXT = "rollback: generation {e.generation} serves again, in place of generation {e.previous}: {e.reason}; {e.note}"
    generation: int
    previous: int
    why: str  # a word: command or crash_loop
    reason: str
    note: str


@dataclass(frozen=True, slots=True)
class RollbackFailed(ReloadFailed):
    TEXT = "rollback failed, the new generation {e.meanwhile}: {e.message}{e.trace}"


@dataclass(frozen=True, slots=True)
class UpgradeProbed(Event):
    TEXT = "upgrade: the new installation passed its test, switching to it now"


@dataclass(frozen=True, slots=True)
class StartFailed(Event):
    LEVEL = logging.CRITICAL
    TEXT = "cannot start: {e.message}{e.trace}"
    message: str
    traceback: str = ""

    @property
    def trace(self) -> str:
        return f"\n{self.traceback.rstrip()}" if self.traceback else ""


@dataclass(frozen=True, slots=True)
class Scaled(Event):
    TEXT = "pool {e.pool}: the target is now {e.target} workers ({e.why})"
    pool: str
    target: int
    why: str


@dataclass(frozen=True, slots=True)
class PeersMoved(Event):
    TEXT = (
        "pool {e.pool}: peers are spread over {e.after} workers now, not over {e.before}: {e.share:.0%} of them have "
        "another one"
    )
    pool: str
    before: int
    after: int
    share: float


@dataclass(frozen=True, slots=True)
class NotBequeathed(Event):
    LEVEL = logging.WARNING
    TEXT = "{e.worker}: what it left to its successor is not handed over: {e.why}"
    worker: Worker
    why: str


@dataclass(frozen=True, slots=True)
class Stopping(Event):
    TEXT = "stopping{e.how}"
    how: str
    why: str
    quick: bool


@dataclass(frozen=True, slots=True)
class Stopped(Event):
    TEXT = "stopped"
