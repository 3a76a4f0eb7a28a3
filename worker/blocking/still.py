"""Still connections: a thread looks at what the lanes serve, and ends what has not moved for `idle_timeout`.

Can go wrong: a connection is closed while it is looked at: then there is nothing to end.
"""

import contextlib
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from time import monotonic
from typing import Any

from forkful.worker.blocking.held import Held, again
from forkful.worker.blocking.lane import Lane
from forkful.worker.ipc.scoreboard import STARTED
from forkful.worker.net.stillness import StillLimits, Stillness, end


def watch(lanes: Sequence[Lane], limits: StillLimits, over: threading.Event) -> None:
    """Until `over`. For a thread of its own."""
    seen: dict[int, tuple[int, Stillness]] = {}  # by lane: the number of its connection, and how still that is
    held: dict[int, Stillness] = {}
    while not over.wait(limits.every):
        now = monotonic()
        for lane in lanes:
            _look(lane, limits, now, seen)
        held = _look_at_held(lanes[0].held, limits, now, held)


def _look_at_held(held: Held, limits: StillLimits, now: float, seen: dict[int, Stillness]) -> dict[int, Stillness]:
    """What outlives its handler is a connection like any other; what becomes of who has it is not counted."""
    found = {}
    for token, sock in held.all():
        found[token] = seen.get(token) or Stillness(now)
        if sock is not None and found[token].exceeds(limits, sock, now):
            end(sock)
    return found


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


def _reachable(connection: Any) -> AbstractContextManager[Any]:  # Any: a socket, or what a `get_request` made of one
    """The connection, also where its handler has taken the descriptor out, as TLS does."""
    taken = getattr(connection, "taken", None)
    return contextlib.nullcontext(connection) if taken is None else again(taken)
