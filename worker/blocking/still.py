"""Still connections: a thread looks at what the lanes serve, and ends what has not moved for `idle_timeout`.

Can go wrong: a connection is closed while it is looked at: then there is nothing to end.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any

from forkful.worker.blocking.lane import Lane
from forkful.worker.ipc.scoreboard import STARTED
from forkful.worker.net.stillness import StillLimits, Stillness, end


def watch(lanes: Sequence[Lane], limits: StillLimits, over: threading.Event) -> None:
    """Until `over`. For a thread of its own."""
    seen: dict[int, tuple[int, Stillness]] = {}  # by lane: the number of its connection, and how still that is
    while not over.wait(limits.every):
        now = monotonic()
        for lane in lanes:
            _look(lane, limits, now, seen)


def _look(lane: Lane, limits: StillLimits, now: float, seen: dict[int, tuple[int, Stillness]]) -> None:
    number, connection = lane.row[STARTED], lane.connection
    if connection is None or lane.expired:
        return
    known = seen.get(lane.number)
    if known is None or known[0] != number:
        known = seen[lane.number] = number, Stillness(now)
    with _reachable(connection) as sock:
        limit = known[1].exceeds(limits, sock, now)
        if limit and lane.connection is connection:
            lane.expire(limit)
            if not end(sock) and lane.connection is connection:
                lane.expire("")


@contextlib.contextmanager
def _reachable(connection: Any) -> Iterator[Any]:  # Any: a socket, or what a `get_request` made of one
    """The connection, also where its handler has taken the descriptor out, as TLS does."""
    taken = getattr(connection, "taken", None)
    if taken is None:
        yield connection
        return
    try:
        with socket.socket(fileno=os.dup(taken[0])) as again:
            yield again if os.fstat(again.fileno()).st_ino == taken[1] else None
    except OSError:  # closed meanwhile
        return
