"""Shortage: an episode in which something had run out, told once at its beginning and once at its end."""

import errno
import logging
import threading
import time

from forkful.worker.net.accept_errors import remedy

logger = logging.getLogger("forkful.worker")

_QUIET = 30.0  # seconds in which trouble that comes back is not told again


class Shortage:
    """An episode of BUSY errors at one listener, told once at its beginning and once at its end."""

    def __init__(self) -> None:
        self._since = 0.0
        self._told = float("-inf")
        self._lock = threading.Lock()

    def began(self, where: object, error: OSError) -> None:
        with self._lock:
            if self._since:
                return
            self._since = now = time.monotonic()
            if now - self._told < _QUIET:
                return
            self._told = now
        what = f"{errno.errorcode.get(error.errno or 0, '')} {error.strerror}"
        logger.error("%s: cannot accept: %s; %s. It is tried again", where, what, remedy(error.errno or 0))

    def over(self, where: object) -> None:
        if not self._since:
            return
        with self._lock:
            since, self._since = self._since, 0.0
            told = self._told
        if since and since == told:
            logger.info("%s: accepting again after %.1f s", where, time.monotonic() - since)
