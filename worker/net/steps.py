"""Steps: what a connection passes between accept(2) and its handler, the same for a lane and for an event loop.

The list is made once per listener. A step looks at the record of the connection; it may refuse it, change what the
record says, or put another socket in its place. One that has to wait for the client yields what it waits for, having
left the socket as it was (`waits`: it is non-blocking meanwhile), and is gone on with when that is so. Who drives
the steps does the waiting: a lane in poll(2), an event loop by watching the descriptor. All of them together have one
deadline, so nobody can hold a lane, or a place in a worker, by saying nothing.
Can go wrong: the client is not let in, is too slow, or speaks something else: `Refused`, counted by its reason.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, Protocol

from forkful.worker.ipc.scoreboard import MAX_LISTENERS, REASONS, REFUSALS
from forkful.worker.net.accepted import Accepted


class Want(Enum):
    """What a step waits for: that the socket can be read, or written, or that a moment passes."""

    READ = "read"
    WRITE = "write"
    MOMENT = "moment"


MOMENT: Final = 0.005  # seconds


class Reason(IntEnum):
    """Why a connection never reached its handler. The number is its cell's, so it is never given another meaning."""

    DENIED = 0  # `allow` and `deny`, or `proxy_allow_from`
    TIMEOUT = 1  # the steps took too long
    GONE = 2  # the client left meanwhile
    PROTOCOL = 3  # what came is not what a step reads
    TLS = 4  # the handshake failed
    CROWDED = 5  # its address has too many connections
    RATE = 6  # its address comes too often
    GET_REQUEST = 7  # the server's own `get_request` failed


class Refused(Exception):  # noqa: N818  # an outcome, and no fault of ours
    """A step does not let the connection through."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class Step(Protocol):
    """One step. `waits`: it may yield, so the socket has to be non-blocking."""

    waits: bool

    def __call__(self, accepted: Accepted, /) -> Iterable[Want]:
        """Take the connection one step further; raises `Refused`, or OSError where the client is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Steps:
    """Those of one listener, in order. `timeout` (seconds) is for all of them together; 0: any time."""

    steps: tuple[Step, ...] = ()
    timeout: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def wait(self) -> bool:
        """Whether any of them may wait for the client."""
        return any(step.waits for step in self.steps)

    def walk(self, accepted: Accepted) -> Iterator[Want]:
        """Take the connection through all of them; what is yielded has to come true before going on."""
        for step in self.steps:
            yield from step(accepted)


NO_STEPS: Final = Steps()


def refusal_cell(listener: int, reason: Reason) -> int:
    """Where the row of a lane counts what was refused at the listener of this cell."""
    if not 0 <= listener < MAX_LISTENERS or reason >= REASONS:
        raise ValueError(f"no cell for {reason!r} of listener {listener}")
    return REFUSALS + listener * REASONS + reason
