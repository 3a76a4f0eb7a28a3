"""The life of a connection: accepted, served by its handler, shut down, counted.

`direct` is the loop and the life in one, for a lane with one listener whose server has no hook overridden: nearly all
programs, and the way that is measured. `source` gives the same in steps, to loops that have more to ask or to wait for.
The order of writes makes counting exact under SIGKILL: begun is STARTED, an outcome is written before the bucket, done
is a bucket.
Can go wrong: whatever a handler does; `outcome` sorts it. The descriptor is closed in any case.
"""

import contextlib
import logging
import socket
from bisect import bisect_left
from functools import partial
from time import monotonic_ns
from typing import Any

from forkful.worker.blocking.arrivals import Arrivals
from forkful.worker.blocking.lane import After, Lane, Source
from forkful.worker.blocking.listener import Listener
from forkful.worker.blocking.listening_socket import ListeningSocket
from forkful.worker.blocking.outcome import Outcomes
from forkful.worker.blocking.recovery import Take, recover
from forkful.worker.blocking.socketserver_hooks import Hooks
from forkful.worker.ipc.scoreboard import BOUNDS_NS, BUCKETS, BUSY, ONLY, RECEIVED, SENT, SINCE, STARTED
from forkful.worker.net.counted_socket import (
    FIN_SEEN,
    INFO_SIZE,
    TCP,
    TCP_INFO,
    AcceptedSocket,
    Connection,
    Once,
    Uncounted,
    abandoned,
    acceptor,
    is_counted,
    read_info,
    tell_when_closed,
    traffic,
)
from forkful.worker.net.queue_wait import MASK, note_stream

logger = logging.getLogger("forkful.worker")

_SHUT_WR = int(socket.SHUT_WR)


def direct(lane: Lane, listener: Listener, after: After, bell: int) -> None:  # noqa: C901  # unrolled on purpose
    """Accept and serve until the listener is closed."""
    row, server = lane.row, listener.server
    handler, failed = server.RequestHandlerClass, Outcomes(row, listener).failed
    accept, held = acceptor(listener.sock), lane.held.see
    counted = is_counted(listener.sock)
    connection: Any = Connection if counted else Uncounted  # Any: `info` is there if `counted`
    family, kind, proto = int(listener.sock.family), int(listener.sock.type), listener.sock.proto
    started, busy, received, sent = row[STARTED], row[BUSY], row[RECEIVED], row[SENT]
    row[ONLY] = listener.cell + 1
    while True:
        try:
            fd, peer = accept()
        except OSError as error:
            if (taken := recover(listener, accept, error, bell)) is None:
                return
            fd, peer = taken
        row[STARTED] = started = started + 1
        lane.peer = peer
        row[SINCE] = since = monotonic_ns()
        request = None
        try:
            request = connection(family, kind, proto, fd)
            if counted and started & MASK == 1:
                note_stream(row, request)
            handler(request, peer, server)
        except BaseException as error:  # noqa: BLE001  # SystemExit and KeyboardInterrupt end no worker
            failed(error, request, peer)
            if request is None:
                request = abandoned(fd)
        try:
            if counted:
                request.info = request.getsockopt(TCP, TCP_INFO, INFO_SIZE)
            request.shutdown(_SHUT_WR)
        except OSError:  # the peer or the handler was faster
            held(request, since)
        try:
            request.close()
        except OSError as error:
            logger.debug("%s: closing a connection: %s", listener, error)
        if counted:
            state, data, unsent, out, again = read_info(request.info)
            row[RECEIVED] = received = received + data - (data and state > FIN_SEEN)
            row[SENT] = sent = sent + out - again + unsent
        took = monotonic_ns() - since
        row[BUSY] = busy = busy + took
        row[BUCKETS + bisect_left(BOUNDS_NS, took)] += 1
        row[SINCE] = 0
        if after is not None:
            after()


def source(lane: Lane, listener: Listener, after: After) -> Source:
    """How a lane takes connections from `listener`, and what it does with them, hook by hook."""
    row = lane.row
    hooks, outcomes, arrivals = Hooks(listener), Outcomes(row, listener, lane), Arrivals(lane, listener)
    patience = listener.limits.read
    take: Take = arrivals.accept if listener.steps else arrivals.accept_plain
    if "get_request" in listener.hooks:
        if isinstance(listener.sock, ListeningSocket):
            listener.sock.enter(arrivals)
        take = partial(hooks.take, arrivals.failed)

    def serve(request: Any, peer: Any) -> None:  # Any: a socket, or what a `get_request` of the user's made of one
        row[STARTED] += 1
        lane.peer = peer
        row[SINCE] = since = monotonic_ns()
        left = arrivals.served()
        if left is not None and isinstance(request, socket.socket):
            left = Once(left)
            tell_when_closed(request, left)  # a handler may close it, and go on with something else
        if patience and isinstance(request, socket.socket) and not isinstance(request, AcceptedSocket):
            _wait_for(request, patience)
        lane.connection, lane.expired = request, ""
        received, sent = traffic(hooks.serve(request, peer, outcomes))
        lane.connection = None
        if lane.expired:
            outcomes.expired()
        row[RECEIVED] += received
        row[SENT] += sent
        took = monotonic_ns() - since
        row[BUSY] += took
        row[BUCKETS + bisect_left(BOUNDS_NS, took)] += 1
        lane.held.see(request, since, left)
        row[SINCE] = 0
        if after is not None:
            after()

    return listener, take, serve


def _wait_for(request: socket.socket, patience: float) -> None:
    """One that something else was made of, as by TLS: its own timeout is for each read and write."""
    with contextlib.suppress(OSError):
        if request.gettimeout() is None:
            request.settimeout(patience)
