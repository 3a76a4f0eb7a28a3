"""The messages between the master and its children, both ways: a record each, and one parser for all of them.

    FROM_WORKER.parse({"is": "Hello", "pid": 812})      ->  Hello(pid=812)

Which messages may come over a channel is a `Vocabulary`, one for each direction and kind of child. What is not in it is
refused, and so is a message with a field too many or too few, or of another type.
Can go wrong: what arrives is none of them: `MessageError`, or for those who take them from a channel a `Refused`.
"""

import math
from typing import Any, Generic, TypeVar

from forkful.conf.light import dataclass
from forkful.worker.ipc import records
from forkful.worker.ipc.reload_messages import AtPrompt, Changed, Imported, Mistaken, Unwatched, Watching

Spoken_co = TypeVar("Spoken_co", covariant=True)


class MessageError(ValueError):
    """This is not a message that may come over this channel."""


@dataclass(frozen=True, slots=True)
class Refused:
    """In place of a message that could not be understood."""

    why: str


# -- to a worker -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drain:
    """Finish and leave, within `timeout` seconds. Queues of the listeners at the positions in `empty` come first."""

    empty: tuple[int, ...]
    timeout: float


@dataclass(frozen=True, slots=True)
class Reopen:
    """Open the log files anew."""


@dataclass(frozen=True, slots=True)
class Stacks:
    """Write the stacks of all threads and tasks to the log, and go on."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """The answer to `Heir`: nobody before you takes anything more. What he left comes along, if he left `some`thing."""

    some: bool


# -- from a worker ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """I exist, under this number."""

    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """I serve."""


@dataclass(frozen=True, slots=True)
class Retiring:
    """I am used up and want a successor; `reason` is the value of a `fleet.Reason`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Draining:
    """I accept nothing more."""


@dataclass(frozen=True, slots=True)
class Heir:
    """What has the worker before me in this slot left? Answered by `Inherited`, once that is known."""


@dataclass(frozen=True, slots=True)
class Bequest:
    """For the worker after me in this slot: a `bequest`, which comes along."""


@dataclass(frozen=True, slots=True)
class Passed:
    """I have nothing in hand any more: the worker after me in this slot may begin."""


@dataclass(frozen=True, slots=True)
class HookFailed:
    """A function of `hooks` has failed, at this moment of a worker's life."""

    hook: str


@dataclass(frozen=True, slots=True)
class Failed:
    """I cannot serve, and leave. `kind` is "load" (the handler cannot be loaded) or "boot" (anything else)."""

    kind: str
    message: str
    traceback: str


# -- to a mold -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cast:
    """Make a worker. Its end of its channel comes along as a descriptor.

    And after it, where each slot of a pool has sockets of its own, those of this one.
    """

    token: int  # how we both call it
    pool: str
    slot: int
    row: int
    lanes: int


@dataclass(frozen=True, slots=True)
class Leave:
    """You are not needed any more. An admin child answers first whom it has taken."""


# -- from a mold -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """What the import of a pool's handler raised."""

    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class MoldReady:
    """The handlers are imported, but for the `failures` by pool; `threads` names what that has started."""

    failures: dict[str, NotLoaded]
    threads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoadHookFailed:
    """A function of a pool's `hooks` has failed here, or cannot be found, at this moment."""

    pool: str
    hook: str


@dataclass(frozen=True, slots=True)
class Unsecured:
    """I cannot read what TLS needs, and leave."""

    message: str


@dataclass(frozen=True, slots=True)
class CastDone:
    """The worker that you asked for as `token` has this number."""

    token: int
    pid: int


@dataclass(frozen=True, slots=True)
class CastFailed:
    """There is no such worker, and why."""

    token: int
    message: str


# -- from the admin child: questions, each with a number for its answer -----------------------------------------------


@dataclass(frozen=True, slots=True)
class TellFacts:
    """Tell what there is to know; answered by `Facts`, all others by `Answer`."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the settings again and replace the workers. Answered when that is over."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Execute the new installation in place. Answered when that is over."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Set a pool's target."""

    pool: str
    workers: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End the service."""

    quick: bool


@dataclass(frozen=True, slots=True)
class ReopenLogs:
    """Have the log files opened anew everywhere."""


@dataclass(frozen=True, slots=True)
class ShowStacks:
    """Have workers write their stacks to the log: all, or those of a pool, or of one slot."""

    pool: str | None
    slot: int | None


Order = TellFacts | Reload | Upgrade | Scale | Stop | ReopenLogs | ShowStacks


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the admin child's."""

    id: int
    order: Order


@dataclass(frozen=True, slots=True)
class Promote:
    """Have all workers follow the canaries."""


@dataclass(frozen=True, slots=True)
class Abort:
    """Have the canaries leave."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """Have the generation before back. Answered when that is over."""


Steer = Promote | Abort | Rollback


@dataclass(frozen=True, slots=True)
class Steering:
    """A question, too. Apart from `Question`, whose shape must stay as it is for upgrades from an older version."""

    id: int
    order: Steer


@dataclass(frozen=True, slots=True)
class Awake:
    """I turn: the answer to `Wake`."""


# -- to the admin child ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Facts:
    """The answer to `TellFacts`: the document of `forkful.master.model.facts`."""

    id: int
    facts: dict[str, Any]  # Any: JSON, whose shape is a TypedDict of the master's


@dataclass(frozen=True, slots=True)
class Answer:
    """How it went."""

    id: int
    ok: bool
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """A child of the master was reaped: its metric files can be folded."""

    pid: int


@dataclass(frozen=True, slots=True)
class Wake:
    """Answer `Awake`: whoever does not hangs."""


@dataclass(frozen=True, slots=True)
class Executing:
    """I execute my next image, and say nothing until that has begun."""


# -- which may come where --------------------------------------------------------------------------------------------


class Vocabulary(Generic[Spoken_co]):
    """What may be said over a channel in one direction, by name; `most` bytes a message, and `fds` at a time."""

    def __init__(self, *kinds: type[Spoken_co], most: float = math.inf, fds: int = 0) -> None:
        self.most, self.fds = most, fds
        self.kinds = {kind.__name__: kind for kind in kinds}

    def parse(self, said: object) -> Spoken_co:
        """The message that this JSON is. Raise `MessageError`."""
        word = said.get("is") if isinstance(said, dict) else said
        kind = self.kinds.get(word) if isinstance(word, str) else None
        if kind is None or not isinstance(said, dict):
            raise MessageError(f"{word!r:.60} is no message that is known here")
        try:
            message: Spoken_co = records.read(kind, {key: entry for key, entry in said.items() if key != "is"})
        except records.RecordError as error:
            raise MessageError(str(error)) from None
        return message


_MOST = 2**20  # bytes of a message from a child: what is in it is cut to `TEXT`
TEXT = 30_000  # characters of a message or a traceback
FDS = 250  # at a time; SCM_MAX_FD is 253, unix(7)
WORKER_SAYS = 100  # messages in a worker's life; it has five to eight
MOLD_SAYS = 100  # beside two for each cast

ToWorker = Drain | Reopen | Stacks | Inherited | Mistaken
FromWorker = Hello | Ready | Retiring | Draining | Failed | HookFailed | Heir | Bequest | Passed | Imported | AtPrompt
ToMold = Cast | Reopen | Leave
FromMold = MoldReady | CastDone | CastFailed | LoadHookFailed | Unsecured | Imported | AtPrompt
ToAdmin = Facts | Answer | Gone | Reopen | Wake | Leave | Executing
FromAdmin = Question | Steering | Awake
ToWatcher = Imported  # by workers and molds
FromWatcher = Watching | Changed | Unwatched
Message = ToWorker | FromWorker | ToMold | FromMold | ToAdmin | FromAdmin | ToWatcher | FromWatcher

TO_WORKER: Vocabulary[ToWorker] = Vocabulary(Drain, Reopen, Stacks, Inherited, Mistaken, fds=1)
FROM_WORKER: Vocabulary[FromWorker] = Vocabulary(
    *(Hello, Ready, Retiring, Draining, Failed, HookFailed, Heir, Bequest, Passed, Imported, AtPrompt),
    most=_MOST,
    fds=1,
)
TO_MOLD: Vocabulary[ToMold] = Vocabulary(Cast, Reopen, Leave, fds=FDS)
_MOLD_MOST = 16 * _MOST  # of each pool
FROM_MOLD: Vocabulary[FromMold] = Vocabulary(
    *(MoldReady, CastDone, CastFailed, LoadHookFailed, Unsecured, Imported, AtPrompt), most=_MOLD_MOST
)
TO_ADMIN: Vocabulary[ToAdmin] = Vocabulary(Facts, Answer, Gone, Reopen, Wake, Leave, Executing)
FROM_ADMIN: Vocabulary[FromAdmin] = Vocabulary(Question, Steering, Awake, most=_MOST)
TO_WATCHER: Vocabulary[ToWatcher] = Vocabulary(Imported)
FROM_WATCHER: Vocabulary[FromWatcher] = Vocabulary(Watching, Changed, Unwatched, most=_MOST)


def cut(text: str) -> str:
    """The end of a text that is too long for a message: a traceback ends with what matters."""
    return text if len(text) <= TEXT else f"[...]{text[-TEXT:]}"


def said(message: Message) -> dict[str, Any]:  # Any: JSON
    """The message as it goes over a channel."""
    written: dict[str, Any] = records.plain(message, tag=True)
    return written


def layout() -> dict[str, str]:
    """What each message looks like, for a version that wants to know whether it can talk to ours."""
    directions: dict[str, Vocabulary[Message]] = {
        "to a worker": TO_WORKER,
        "from a worker": FROM_WORKER,
        "to a mold": TO_MOLD,
        "from a mold": FROM_MOLD,
        "to the admin child": TO_ADMIN,
        "from the admin child": FROM_ADMIN,
    }
    return {
        f"{name} {direction}": records.shape(kind)
        for direction, vocabulary in directions.items()
        for name, kind in vocabulary.kinds.items()
    }
