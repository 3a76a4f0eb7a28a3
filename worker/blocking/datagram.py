"""The life of a datagram: received whole, served by its handler, counted.

`direct` is the loop and the life in one, for a lane with one listener whose server has no hook overridden: nearly all
programs. There each 0.1 us is 2 %, so it calls the handler class itself and keeps its counters in locals (it is the
only writer of its row). `source` gives the same in steps, to loops that have more to ask or to wait for.
Replies go out through a second descriptor of the same socket, so that a drain, which takes the first one away, does not
cut off the answer of a handler that is busy.
Can go wrong: whatever a handler does; `outcome` sorts it.
"""

import socket
from bisect import bisect_left
from functools import partial
from time import monotonic_ns
from typing import Any

from forkful.handlers.server import is_plain
from forkful.worker.blocking.lane import After, Lane, Source
from forkful.worker.blocking.listener import Listener
from forkful.worker.blocking.outcome import Outcomes
from forkful.worker.blocking.recovery import Take, recover
from forkful.worker.blocking.socketserver_hooks import Hooks
from forkful.worker.ipc.scoreboard import ACCEPTED, BOUNDS_NS, BUCKETS, BUSY, ONLY, RECEIVED, SINCE, STARTED
from forkful.worker.net.queue_wait import MASK, note_datagram
from forkful.worker.net.steps import refusal_cell

_ROOM = 65_535  # the longest IP packet: nothing is ever truncated
_UNIX_ROOM = 1 << 20  # a Unix datagram may be as long as its sender's buffer: 208 KiB unless someone raised it


def direct(lane: Lane, listener: Listener, after: After, bell: int) -> None:
    """Receive and serve until the listener is closed."""
    row, server, reply = lane.row, listener.server, listener.reply
    handler, failed = server.RequestHandlerClass, Outcomes(row, listener).failed
    new: Any = object.__new__  # Any: it gives an instance of the handler class
    receive, room, fast, plain = listener.receive, _room(listener), BOUNDS_NS[0], is_plain(handler)
    started, received, busy, quick = row[STARTED], row[RECEIVED], row[BUSY], row[BUCKETS]
    row[ONLY] = listener.cell + 1
    while True:
        try:
            data, peer = receive(room)
        except OSError as error:
            taken = recover(listener, partial(receive, room), error, bell)
            if taken is None:
                return
            data, peer = taken
        row[STARTED] = started = started + 1
        lane.peer = peer
        row[SINCE] = since = monotonic_ns()
        if started & MASK == 1:
            note_datagram(row, listener.sock)
        request = (data, reply)
        try:
            if plain:  # what BaseRequestHandler.__init__ does, less two calls of empty methods: 4 %
                work = new(handler)
                work.request = request
                work.client_address = peer
                work.server = server
                work.handle()
                work = None
            else:
                handler(request, peer, server)
        except BaseException as error:  # noqa: BLE001  # SystemExit and KeyboardInterrupt end no worker
            failed(error, request, peer)
        took = monotonic_ns() - since
        row[RECEIVED] = received = received + len(data)
        row[BUSY] = busy = busy + took
        if took <= fast:
            row[BUCKETS] = quick = quick + 1
        else:
            row[BUCKETS + bisect_left(BOUNDS_NS, took)] += 1
        row[SINCE] = 0
        if after is not None:
            after()


def _nothing() -> None: ...


def _room(listener: Listener) -> int:
    return _UNIX_ROOM if listener.sock.family == socket.AF_UNIX else _ROOM


def source(lane: Lane, listener: Listener, after: After) -> Source:
    """How a lane takes datagrams from `listener`, and what it does with them, hook by hook."""
    row, cell, reply = lane.row, ACCEPTED + listener.cell, listener.reply
    hooks = Hooks(listener)
    outcomes = Outcomes(row, listener)
    take: Take = partial(listener.receive, _room(listener))
    if "get_request" in listener.hooks:
        take = partial(hooks.take, _nothing)
    refuses = listener.refuses

    def serve(what: Any, peer: Any) -> None:  # Any: bytes, or what a `get_request` of the user's gives; an address
        if refuses is not None and (reason := refuses(peer)) is not None:
            row[cell] += 1
            row[refusal_cell(listener.cell, reason)] += 1
            return
        row[STARTED] += 1
        if row[STARTED] & MASK == 1:
            note_datagram(row, listener.sock)
        lane.peer = peer
        row[SINCE] = since = monotonic_ns()
        row[cell] += 1
        match what:
            case bytes(data):
                request: Any = (data, reply)
            case (bytes(data), sock) if sock is listener.sock:
                request = (data, reply)
            case _:
                data, request = b"", what
        hooks.serve(request, peer, outcomes)
        row[RECEIVED] += len(data)
        took = monotonic_ns() - since
        row[BUSY] += took
        row[BUCKETS + bisect_left(BOUNDS_NS, took)] += 1
        row[SINCE] = 0
        if after is not None:
            after()

    return listener, take, serve
