"""The end of a worker, as a Python program ends: threads that are no daemons finish, then what `atexit` holds runs.

A worker is forked, so the interpreter would not do it by itself: it leaves by `os._exit`.
Can go wrong: a thread or a function of `atexit` does not end. Who waits for this worker kills it after
`graceful_timeout`; without a master it ends itself by then.
"""

import atexit
import logging
import os
import threading

logger = logging.getLogger("forkful.worker")

_CUT_OFF = 1  # exit code of one that would not end
_timer: threading.Timer | None = None


def begin_anew() -> None:
    """A drop-in's worker: what the script itself has registered is for the script's end, not for a worker's."""
    atexit._clear()  # noqa: SLF001  # documented nowhere, and in every Python


def bound(patience: float) -> None:
    """End this process after so many seconds, whatever it does until then (0: never); the first word counts."""
    global _timer  # noqa: PLW0603  # a process ends once
    if patience and _timer is None:
        _timer = threading.Timer(patience, os._exit, (_CUT_OFF,))
        _timer.daemon = True
        _timer.start()


def leave(patience: float) -> None:
    """Wait for threads, then run what `atexit` holds; at most `patience` seconds (0: as long as it takes)."""
    others = [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
    bound(patience)
    if others:
        logger.info("waiting for threads that are no daemons: %s", ", ".join(thread.name for thread in others))
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001  # what Py_Finalize calls, also for executors
        atexit._run_exitfuncs()  # noqa: SLF001  # as it does then; it prints what they raise
    except BaseException:
        logger.exception("atexit failed")
