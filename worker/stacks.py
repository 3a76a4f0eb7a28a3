"""Stacks: what every thread of this worker is doing, and for whom, in the log.

Two ways: `tell`, in words, by the control thread of a healthy worker; and `on_abort`, by the C code of faulthandler,
which needs neither the interpreter nor a lock, so that even a worker stuck in C is seen before SIGABRT ends it.
Can go wrong: the log's file cannot be opened for faulthandler: then it writes to standard error.
"""

import faulthandler
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from types import FrameType

from forkful.conf.plan import LogPlan
from forkful.worker.lane import Lane
from forkful.worker.listener import address
from forkful.worker.scoreboard import SINCE

logger = logging.getLogger("forkful.worker")

_LIVES = frozenset({"forkful.worker.stream", "forkful.worker.datagram"})  # their functions know the peer


def on_abort(log: LogPlan) -> None:
    """On SIGABRT, and on crashes in C, write all stacks to the log and die by that signal. Again after a rotation."""
    fd = 2
    if log.file != "-":
        try:
            fd = os.open(log.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError:
            fd = 2
    faulthandler.enable(file=fd, all_threads=True)
    global _file  # faulthandler keeps a descriptor for the whole process, and so do we
    _file, old = fd, _file
    if old != 2:  # noqa: PLR2004
        os.close(old)


_file = 2


def tell(who: object, lanes: Sequence[Lane]) -> None:
    """Log the stacks of all threads, each with the peer it serves and for how long."""
    frames = sys._current_frames()  # noqa: SLF001  # documented, in spite of its name
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    busy = {lane.ident: lane for lane in lanes}
    parts = []
    for ident, frame in frames.items():
        title = names.get(ident, f"thread {ident}")
        if lane := busy.get(ident):
            title = f"lane {lane.number}, {_doing(lane, frame)}"
        parts.append(f"{title}:\n{''.join(traceback.format_stack(frame))}")
    logger.warning("%s: stacks of %d threads\n%s", who, len(parts), "\n".join(parts))


def _doing(lane: Lane, frame: FrameType | None) -> str:
    since = lane.row[SINCE]
    if not since:
        return "idle"
    peer = ""
    while frame is not None and not peer:
        if frame.f_globals.get("__name__") in _LIVES and "peer" in frame.f_locals:
            peer = f" for {address(frame.f_locals['peer'])}"
        frame = frame.f_back
    return f"busy{peer} since {(time.monotonic_ns() - since) / 1e9:.3f} s"
