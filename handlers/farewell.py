"""The farewell: how a handler learns that its worker takes no more connections and will leave.

    from forkful.handlers import draining

    class Chat(StreamRequestHandler):
        def handle(self):
            while not draining().is_set(): ...

Handlers that do not ask are simply given the time (`graceful_timeout`).
Can go wrong: a callback that raises is logged, and the others are called all the same.
"""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger("forkful.worker")


class Farewell:
    """Set once in the life of a worker, from the moment it drains. Outside of a worker it is never set."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []
        self._said = threading.Event()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the worker drains, at most `timeout` seconds; whether it does."""
        return self._event.wait(timeout)

    def add_callback(self, callback: Callable[[], object]) -> None:
        """Have `callback()` called when the worker drains, at once if it does already.

        It runs on the worker's control thread, so it must be short: set a flag, `loop.call_soon_threadsafe(...)`.
        """
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        _call(callback)

    def remove_callback(self, callback: Callable[[], object]) -> None:
        """Forget a callback; one that is not there is no error, so a connection may always take its own along."""
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

    def begin(self) -> None:
        """The worker drains. For the worker's control thread."""
        with self._lock:
            if self._event.is_set():
                return
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            _call(callback)
        self._said.set()

    def is_said(self, patience: float) -> bool:
        """Whether every callback has been called, after at most so many seconds. For the worker, which then leaves."""
        return self._said.wait(patience)

    def reset(self) -> None:
        """A new worker was forked: locks a vanished thread may have held are replaced, callbacks of the import stay."""
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._said = threading.Event()


def _call(callback: Callable[[], object]) -> None:
    try:
        callback()
    except Exception:
        logger.exception("a callback for draining failed: %r", callback)


_farewell = Farewell()


def draining() -> Farewell:
    """The event of this process that says: this worker drains (finish, say goodbye, accept nothing new)."""
    return _farewell
