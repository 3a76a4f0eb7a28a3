"""Stacks: what every thread of this worker is doing, and for whom, in the log.

There are two ways. `tell` is for `forkful stacks`: the control thread of a healthy worker writes them. `on_signals` is
the C code of faulthandler, which needs neither the interpreter nor a lock, so it works in a worker that is stuck in C:
SIGUSR2 does no harm, SIGABRT ends the worker.
Can go wrong: the log's file cannot be opened for faulthandler: then it writes to standard error.
"""

import ctypes
import faulthandler
import logging
import mmap
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Protocol

from forkful.conf.plan import LogPlan
from forkful.worker.ipc.scoreboard import ARRIVING, SINCE
from forkful.worker.net.address_words import in_words

logger = logging.getLogger("forkful.worker")


class Lane(Protocol):
    """What we ask of a thread that serves: its number, its identity (0 before it runs), its row, and whom it serves."""

    @property
    def number(self) -> int: ...
    @property
    def ident(self) -> int: ...
    @property
    def row(self) -> "memoryview[int]": ...
    @property
    def peer(self) -> object: ...


_ROOM = 1 << 18  # bytes; a page is used only once it is needed


def on_signals(log: LogPlan) -> None:
    """Have SIGUSR2 write all stacks to the log; SIGABRT and crashes in C too, and die. Again after a rotation."""
    fd = 2
    if log.file != "-":
        try:
            fd = os.open(log.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError:
            fd = 2
    faulthandler.enable(file=fd, all_threads=True)
    faulthandler.register(signal.SIGUSR2, file=fd, all_threads=True)  # and live on
    _make_room()
    global _file  # faulthandler keeps a descriptor for the whole process, and so do we
    _file, old = fd, _file
    if old != 2:  # noqa: PLR2004
        os.close(old)


_file = 2


class _Stack(ctypes.Structure):
    """stack_t, sigaltstack(2)."""

    _fields_ = (("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def _make_room() -> None:
    """Give the main thread a signal stack that many handlers fit on.

    faulthandler's has room for two frames or so, all of Python's handlers run on it (SA_ONSTACK) and none blocks the
    others: half a dozen signals at a time killed a worker.
    """
    if not _rooms:
        _rooms.append(mmap.mmap(-1, _ROOM))
        stack = _Stack(ctypes.addressof(ctypes.c_char.from_buffer(_rooms[0])), 0, _ROOM)
        ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None)


_rooms: list[mmap.mmap] = []  # one, which must live as long as the process


def tell(who: object, lanes: Sequence[Lane], serving: Callable[[int, FrameType], str] = lambda *_: "") -> None:
    """Log the stacks of all threads, each with the peer it serves and for how long; `serving` knows beside lanes."""
    frames = sys._current_frames()  # noqa: SLF001  # documented, in spite of its name
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    busy = {lane.ident: lane for lane in lanes}
    parts = []
    for ident, frame in frames.items():
        title = names.get(ident, f"thread {ident}")
        if lane := busy.get(ident):
            title = f"lane {lane.number}, {_doing(lane)}"
        elif what := serving(ident, frame):
            title = f"{title}, busy with {what}"
        parts.append(f"{title}:\n{''.join(traceback.format_stack(frame))}")
    logger.warning("%s: stacks of %d threads\n%s", who, len(parts), "\n".join(parts))


def _doing(lane: Lane) -> str:
    since = lane.row[SINCE]
    if not since:
        return "idle"
    what = "arriving" if lane.row[ARRIVING] else "busy"
    return f"{what} for {in_words(lane.peer)} since {(time.monotonic_ns() - since) / 1e9:.3f} s"
