"""How long a client may take: to ask, to send, to read, to leave. Each has its deadline.

Can go wrong: the client is too slow. It is answered with a status where one can still be sent, and cut off where not.
"""

import logging
from typing import TYPE_CHECKING, Final

from forkful.worker.http.wire import BODY, BUSY, HEAD, IDLE, LINGER

if TYPE_CHECKING:
    from forkful.worker.http.http1 import HttpConnection
    from forkful.worker.http.outgoing import Outgoing

# After an answer that came before the request's end, what still comes is read and dropped, for many clients send all of
# a body before they look for an answer, and a reset would take that from them. As nginx's lingering_close does.
LINGER_SECONDS: Final = 2  # of silence
LINGER_LONGEST: Final = 30  # seconds in all
FAREWELL_SECONDS: Final = 1  # from when the worker leaves, an idle connection may have
SECOND: Final = 1_000_000_000

log = logging.getLogger("forkful.http")


def overdue(connection: "HttpConnection", now: int) -> int:
    """Look at the clock; act if the client took too long. Returns the next deadline (monotonic ns), 0: none."""
    phase = connection.phase
    reading = reads_on(connection, now) if connection.stalled or connection.file is not None else -1
    if phase == BUSY or (reading >= 0 and phase != BODY):
        return max(reading, 0)
    late, allowed = ("", float(LINGER_SECONDS)) if phase >= LINGER else _patience(connection)
    deadline = connection.since + int(allowed * SECOND) if allowed else 0
    leaving = connection.service.leaving
    if leaving and phase == IDLE and not connection.deferred:
        farewell = max(connection.since, leaving) + FAREWELL_SECONDS * SECOND
        deadline = min(deadline, farewell) if deadline else farewell
    if deadline and now >= deadline:
        if late:
            connection.refuse(408, late)
        elif phase == IDLE:
            connection.close()
        else:
            connection.transport.abort()
    return min((due for due in (deadline, reading) if due > 0), default=0)


def _patience(connection: "HttpConnection") -> tuple[str, float]:
    """What a client that is too slow is told ("": it is only closed), and the seconds it has; 0: any number."""
    limits = connection.service.limits
    if connection.phase == IDLE and not connection.deferred:
        # Before its first request a client may take as long as for the head.
        return "", limits.keep_alive if connection.asked or not limits.header_timeout else limits.header_timeout
    if connection.phase == HEAD:
        return "the head took too long", limits.header_timeout
    if connection.phase == BODY and limits.body_timeout and not connection.paused:
        return "the body took too long", limits.body_timeout + connection.size / limits.body_rate
    return "", 0.0


def reads_on(connection: "Outgoing", now: int) -> int:
    """Whether a client that has not read all of its answer gets on with it at all; when to look again, 0: never."""
    connection.hold()
    allowed = connection.service.limits.write_timeout
    has = connection.taken()
    if has != connection.mark[1]:
        connection.mark = now, has
    if not allowed:
        return 0
    deadline = connection.mark[0] + int(allowed * SECOND)
    if now >= deadline:
        log.debug("%s took nothing of its answer for %g s (write_timeout)", connection.peer(), allowed)
        connection.reset()
    return deadline
