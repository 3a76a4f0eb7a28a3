"""How long a client may take: to ask, to send, to read, to leave. Each has its deadline.

Can go wrong: the client is too slow. It is answered with a status where one can still be sent, and cut off where not.
"""

from typing import TYPE_CHECKING, Final

from forkful.worker.http.wire import BODY, BUSY, HEAD, IDLE, LINGER

if TYPE_CHECKING:
    from forkful.worker.http.http1 import HttpConnection

# After an answer that came before the request's end, what still comes is read and dropped, for many clients send all of
# a body before they look for an answer, and a reset would take that from them. As nginx's lingering_close does.
LINGER_SECONDS: Final = 2  # of silence
LINGER_LONGEST: Final = 30  # seconds in all
READ_SECONDS: Final = 60  # a client that reads nothing of its answer for so long is given up
FAREWELL_SECONDS: Final = 1  # from when the worker leaves, an idle connection may have
SECOND: Final = 1_000_000_000


def overdue(connection: "HttpConnection", now: int) -> int:
    """Look at the clock; act if the client took too long. Returns the next deadline (monotonic ns), 0: none."""
    phase = connection.phase
    if phase == BUSY or (phase == LINGER and connection.stalled):
        return _reads_on(connection, now)
    late, allowed = ("", float(LINGER_SECONDS)) if phase >= LINGER else _patience(connection)
    deadline = connection.since + int(allowed * SECOND) if allowed else 0
    leaving = connection.service.leaving
    if leaving and phase == IDLE and not connection.deferred:
        farewell = max(connection.since, leaving) + FAREWELL_SECONDS * SECOND
        deadline = min(deadline, farewell) if deadline else farewell
    if not deadline:
        return 0
    if now >= deadline:
        if late:
            connection.refuse(408, late)
        elif phase == IDLE:
            connection.close()
        else:
            connection.transport.abort()
    return deadline


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


def _reads_on(connection: "HttpConnection", now: int) -> int:
    """Whether a client that has not read all of its answer gets on with it at all."""
    if not connection.stalled:
        return 0
    unsent = connection.transport.get_write_buffer_size()
    if unsent != connection.unsent[1]:
        connection.unsent = now, unsent
    deadline = connection.unsent[0] + READ_SECONDS * SECOND
    if now >= deadline:
        connection.abort()
    return deadline
