"""The outcome of a request that did not end well: what it counts as, and what the log says about it.

A peer that resets or is too slow is not an error of ours. Anything else that a handler raises is logged once with its
traceback: `SystemExit` and `KeyboardInterrupt` end no worker.
Can go wrong: a `handle_error` of the user's raises; then both are in the log.
"""

import errno
import logging
import select
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any

from forkful.handlers.server import stock
from forkful.worker.blocking.listener import Listener
from forkful.worker.ipc.scoreboard import ERROR, REFUSED, RESET, TIMEOUT
from forkful.worker.net.accept_errors import PEER
from forkful.worker.net.address_words import in_words
from forkful.worker.net.stillness import TooStillError

if TYPE_CHECKING:
    from forkful.worker.blocking.lane import Lane

logger = logging.getLogger("forkful.worker")

_HANG = select.POLLHUP | select.POLLERR
_IP_RECVERR, _IPV6_RECVERR = 11, 25  # linux/in.h, linux/in6.h


class Outcomes:
    """Of one listener, for one lane: writes to its row."""

    def __init__(self, row: "memoryview[int]", listener: Listener, lane: "Lane | None" = None) -> None:
        self._row = row
        self._lane = lane
        self._listener = listener
        self._hooked = "handle_error" in listener.hooks

    def refused(self) -> None:
        """A `verify_request` of the user's said no."""
        self._row[REFUSED] += 1

    def expired(self) -> None:
        """A handler has ended as if nothing had been, though its connection was ended for being still."""
        self._row[TIMEOUT] += 1

    def failed(self, error: BaseException, request: Any, peer: Any) -> None:  # Any: a socket, a datagram, an address
        """The handler raised. Call it while `error` is being handled."""
        cell = self._cell(error, request)
        self._row[cell] += 1
        if self._lane is not None and self._lane.expired:
            logger.debug("%s: ended %s for its %s", self._listener, _peer(request, peer), self._lane.expired)
            self._lane.expired = ""
            return
        if self._hooked and isinstance(error, Exception):
            try:
                self._listener.server.handle_error(request, peer)
            except BaseException as second:  # noqa: BLE001  # the user's code, like the handler itself
                log(self._listener, second, request, peer)
            return
        if cell == ERROR and not _is_unanswerable(error, request, peer):
            log(self._listener, error, request, peer)
        else:
            what = {TIMEOUT: "was too slow", RESET: "is gone"}.get(cell, "cannot be answered")
            logger.debug("%s: the peer %s %s: %s", self._listener, _peer(request, peer), what, error)

    def _cell(self, error: BaseException, request: Any) -> int:
        """RESET and TIMEOUT only if this very peer is gone or slow: a handler may have connections of its own."""
        if isinstance(error, TooStillError) or (self._lane is not None and self._lane.expired):
            return TIMEOUT  # and whatever follows from that
        if not isinstance(error, OSError):
            return ERROR
        if isinstance(request, tuple):
            mine = isinstance(error, ConnectionError) and _tells_of_replies(self._listener.sock)
            return RESET if mine else ERROR
        try:
            fd, patience = request.fileno(), request.gettimeout()
        except (AttributeError, OSError):
            return ERROR
        if error.errno == errno.ETIMEDOUT and _has_user_timeout(request):
            return TIMEOUT  # the kernel ended it: write_timeout
        if error is getattr(request, "failed", None):
            return RESET  # what it sent was no TLS
        if error.errno in PEER:
            return RESET if fd < 0 or _is_hung_up(fd) else ERROR
        if _is_end_of_tls(error):
            return RESET if fd < 0 or _is_hung_up(fd, select.POLLRDHUP) else ERROR
        if isinstance(error, TimeoutError) and error.errno is None and patience is not None:
            return TIMEOUT
        return ERROR


def log_what_threads_raise(listener: Listener) -> None:
    """Have the standard `handle_error`, which a server calls in threads of its own, make one record of the log."""

    outcomes = Outcomes(memoryview(b""), listener)  # no row: each has one writer, and that is a lane

    def handle_error(request: Any, client_address: Any) -> None:  # Any: as of socketserver
        error = sys.exc_info()[1]
        if error is None or _is_unanswerable(error, request, client_address):
            return
        if outcomes._cell(error, request) == ERROR:  # noqa: SLF001  # ours
            log(listener, error, request, client_address)

    if "handle_error" not in listener.hooks:
        setattr(listener.server, "handle_error", stock(handle_error))  # noqa: B010  # mypy: it is a method


def log(listener: Listener, error: BaseException, request: Any, peer: Any) -> None:  # Any: as above
    """One record for a handler that failed, from the first frame that is not ours."""
    trace = error.__traceback__
    while trace and trace.tb_next and trace.tb_frame.f_globals.get("__name__", "").startswith("forkful.worker."):
        trace = trace.tb_next
    who = _peer(request, peer)
    logger.error(
        "%s: the handler failed for %s",
        listener,
        who,
        exc_info=(type(error), error, trace),
        extra={"peer": who},
    )


def _peer(request: Any, peer: Any) -> str:
    if peer or not isinstance(request, socket.socket) or request.family != socket.AF_UNIX:
        return in_words(peer)
    try:
        said = request.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return in_words(peer)
    pid, uid, _ = struct.unpack("3i", said)
    return f"process {pid} of user {uid}"


def _has_user_timeout(request: Any) -> bool:  # Any: a socket
    try:
        return bool(request.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    except (OSError, AttributeError):
        return False


def _is_unanswerable(error: BaseException, request: Any, peer: Any) -> bool:
    """Whether a datagram came from port 0, to which nothing can be sent: anyone may forge that, so no record each."""
    if not isinstance(error, OSError) or error.errno != errno.EINVAL or not isinstance(request, tuple):
        return False
    return isinstance(peer, tuple) and peer[1:2] == (0,)


def _is_end_of_tls(error: OSError) -> bool:
    """Whether a peer left without the goodbye that TLS has."""
    ssl = sys.modules.get("ssl")
    return ssl is not None and isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)


def _is_hung_up(fd: int, or_half: int = 0) -> bool:
    """Whether the connection is dead in both directions: a handler's other connections may fail, this one lives."""
    poll = select.poll()
    poll.register(fd, or_half)
    return any(event & (_HANG | or_half) for _, event in poll.poll(0))


def _tells_of_replies(sock: socket.socket) -> bool:
    """Whether a datagram socket can report that an earlier reply met nobody: ip(7), unix(7)."""
    if sock.family == socket.AF_UNIX:
        return True
    level, option = (
        (socket.IPPROTO_IPV6, _IPV6_RECVERR) if sock.family == socket.AF_INET6 else (socket.IPPROTO_IP, _IP_RECVERR)
    )
    try:
        return bool(sock.getsockopt(level, option))
    except OSError:  # a drain took the socket away meanwhile
        return False
