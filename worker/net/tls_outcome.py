"""How a TLS handshake ended, and where a row counts it. Without ssl, for whoever counts has it anyway."""

from enum import IntEnum

from forkful.worker.ipc.scoreboard import HANDSHAKES
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.steps import Reason


class Outcome(IntEnum):
    """The number is its cell's, so it is never given another meaning."""

    OK = 0  # a whole one
    RESUMED = 1  # it went on with a session that the client knew
    FAILED = 2  # there was nothing to agree on, or it was no TLS
    GONE = 3  # the client left
    TIMEOUT = 4  # it took too long


_REFUSED = {Reason.TLS: Outcome.FAILED, Reason.TIMEOUT: Outcome.TIMEOUT}


def count(row: "memoryview[int]", accepted: Accepted, refused: Reason | None = None) -> None:
    """Count a connection's handshake, if it had come to that when it was through, or was refused."""
    if accepted.handshake is not None:
        outcome = accepted.handshake if refused is None else _REFUSED.get(refused, Outcome.GONE)
        row[HANDSHAKES + outcome] += 1
