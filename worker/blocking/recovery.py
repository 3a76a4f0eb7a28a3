"""Recovery: what a lane does when taking a connection or a datagram failed.

Can go wrong: an error that is none of those in `accept_errors` is ours, and is raised.
"""

import logging
import select
from collections.abc import Callable
from typing import Any

from forkful.worker.blocking.listener import Listener
from forkful.worker.net.accept_errors import BUSY, EMPTY, THEIRS

logger = logging.getLogger("forkful.worker")

Taken = tuple[Any, Any]  # Any: a descriptor, socket or datagram, and a peer's address, which has many shapes
Take = Callable[[], Taken]

_PAUSE = 0.25  # seconds between two tries while something has run out
_HOOK_FAILURES = 10  # in a row, that a hook of the user's may have before we slow it down


def recover(listener: Listener, take: Take, error: OSError, bell: int) -> Taken | None:
    """Get over `error` and take again, sleeping where the lane itself would; None once the listener is closed."""
    failures = 1
    while get_over(listener, error, bell, failures):
        try:
            taken = take()
        except OSError as another:
            error = another
            failures += 1
        else:
            listener.shortage.over(listener)
            return taken
    return None


def get_over(listener: Listener, error: OSError, bell: int | None = None, failures: int = 1) -> bool:
    """Log and pause as the error asks for; whether to try again. With `bell`, an empty queue is waited for."""
    if listener.closed.is_set():
        return False
    number = error.errno or 0
    if number in EMPTY:
        if listener.emptying:
            listener.close()
            return False
        if bell is not None:
            _wait(listener, bell)
    elif number in BUSY:
        listener.shortage.began(listener, error)
        listener.closed.wait(_PAUSE)
    elif number in THEIRS:
        logger.debug("%s: nothing taken: %s", listener, error)
    elif "get_request" in listener.hooks and listener.sock.fileno() >= 0:
        # Whatever a TLS handshake or the like says (SSLError has numbers of its own): the standard library goes on.
        logger.debug("%s: get_request failed: %s", listener, error)
        if failures > _HOOK_FAILURES:
            listener.closed.wait(_PAUSE)
    else:
        raise error
    return True


def _wait(listener: Listener, bell: int) -> None:
    """Another process made the shared file non-blocking: sleep until something comes or the worker drains."""
    poll = select.poll()
    poll.register(listener.sock.fileno(), select.POLLIN)
    poll.register(bell, select.POLLIN)
    poll.poll()
