"""An arrival: a connection between accept(2) and its handler, in one lane.

It is on its way through the listener's steps, or in a `get_request` of the user's, and may stay there for long. So it
is on the scoreboard with its start, where status, `timeout` and a drain see it as they see a handler's. A lane that
waits in accept(2) is idle, also inside of a `get_request`: what that accepts comes through here (`ListeningSocket`).
Can go wrong: a step refuses or takes too long, or a `get_request` fails: counted by its reason, and the lane goes on.
"""

import logging
import select
import socket
from collections.abc import Callable
from functools import partial
from time import monotonic, monotonic_ns, sleep
from typing import Any

from forkful.worker.blocking.lane import Lane
from forkful.worker.blocking.listener import Listener
from forkful.worker.ipc.scoreboard import ACCEPTED, ARRIVING, SINCE, STARTED
from forkful.worker.net import tls_outcome
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.address_words import in_words
from forkful.worker.net.counted_socket import AcceptedSocket, Connection, Uncounted, acceptor, is_counted
from forkful.worker.net.proxied_socket import show
from forkful.worker.net.queue_wait import MASK, note_stream
from forkful.worker.net.steps import MOMENT, Reason, Refused, Steps, Want, refusal_cell

logger = logging.getLogger("forkful.worker")

_EVENTS = {Want.READ: select.POLLIN, Want.WRITE: select.POLLOUT}


class Arrivals:
    """Those of one lane at one listener."""

    def __init__(self, lane: Lane, listener: Listener) -> None:
        sock = listener.sock
        self._lane = lane
        self._row = lane.row
        self._listener = listener
        self._steps = listener.steps
        self._cell = ACCEPTED + listener.cell
        self._take = acceptor(sock)
        self._connection = Connection if is_counted(sock) else Uncounted
        self._patience = listener.limits.read
        if self._patience:
            from forkful.worker.net import patient_socket  # noqa: PLC0415  # others do without

            counted = self._connection is Connection
            self._connection = patient_socket.PatientConnection if counted else patient_socket.PatientUncounted
        self._kind = int(sock.family), int(sock.type), sock.proto
        self._left: Callable[[], object] | None = None  # of the one that has arrived: to be called when it is closed

    def accept(self) -> tuple[socket.socket, Any]:  # Any: a peer's address
        """What `socket.accept` does, for a connection that all steps let through. Raises OSError as that does."""
        while True:
            self._leave()  # the last one, if a `get_request` has kept it from its handler
            fd, peer = self._take()
            row = self._row
            self._lane.peer = peer
            row[ARRIVING] = 1
            row[SINCE] = monotonic_ns()
            row[self._cell] += 1
            accepted = Accepted(self._taken(self._connection(*self._kind, fd)), peer, row[SINCE])
            if not self._steps or self._pass(accepted):
                return accepted.sock, accepted.peer

    def accept_plain(self) -> tuple[socket.socket, Any]:  # Any: as above
        """The same where there are no steps and nobody in between: it is served at once."""
        fd, peer = self._take()
        return self._taken(self._connection(*self._kind, fd)), peer

    def _taken(self, sock: AcceptedSocket) -> AcceptedSocket:
        """It came out of the queue: measure how long it was there, of one in many."""
        if self._row[STARTED] & MASK == 0:  # it is counted as begun later
            note_stream(self._row, sock)
        if self._patience:
            sock.patience, sock.too_late = self._patience, partial(self._lane.expire, "read_timeout")
        return sock

    def served(self) -> Callable[[], object] | None:
        """It is its handler's now, who has counted it as begun; or it was taken without asking us.

        What comes back is to be called when it is closed.
        """
        left, self._left = self._left, None
        if self._row[ARRIVING]:
            self._row[ARRIVING] = 0
        else:
            self._row[self._cell] += 1
        return left

    def failed(self) -> None:
        """A `get_request` of the user's has failed, with a connection or without one."""
        if self._row[ARRIVING]:
            self._refuse(Reason.GET_REQUEST)

    def _pass(self, accepted: Accepted) -> bool:
        try:
            walk(self._steps, accepted)
        except Refused as refused:
            tls_outcome.count(self._row, accepted, refused.reason)
            self._refuse(refused.reason)
            logger.debug("%s: refused %s: %s", self._listener, in_words(accepted.peer), refused)
        except OSError as error:
            tls_outcome.count(self._row, accepted, Reason.GONE)
            self._refuse(Reason.GONE)
            logger.debug("%s: %s left: %s", self._listener, in_words(accepted.peer), error)
        except BaseException:
            self._refuse(Reason.PROTOCOL)
            logger.exception("%s: a step failed for %s", self._listener, in_words(accepted.peer))
        else:
            tls_outcome.count(self._row, accepted)
            self._left = accepted.left
            show(accepted.sock, accepted.proxy_header)
            return True
        accepted.sock.close()
        if accepted.left is not None:
            accepted.left()
        return False

    def _leave(self) -> None:
        if self._left is not None:
            self._left()
            self._left = None

    def _refuse(self, reason: Reason) -> None:
        row = self._row
        self._leave()
        row[refusal_cell(self._listener.cell, reason)] += 1
        row[ARRIVING] = 0
        row[SINCE] = 0


def walk(steps: Steps, accepted: Accepted) -> None:
    """Take a connection through the steps, waiting in poll(2) where they do. Raises what they raise."""
    patience = accepted.sock.gettimeout()
    if steps.wait:
        accepted.sock.setblocking(False)
    deadline = monotonic() + steps.timeout
    for want in steps.walk(accepted):
        left = max(0.0, deadline - monotonic()) if steps.timeout else None
        if want is Want.MOMENT:
            is_so = left is None or left > 0
            sleep(MOMENT)
        else:
            poll = select.poll()
            poll.register(accepted.sock, _EVENTS[want])
            is_so = bool(poll.poll(None if left is None else left * 1000))
        if not is_so:
            raise Refused(Reason.TIMEOUT, f"it took longer than {steps.timeout:g} s")
    if steps.wait:
        accepted.sock.settimeout(patience)
