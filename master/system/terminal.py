"""The terminal that controls us, as it was when we came: a worker that dies must not leave it without echo.

A debugger, getpass(3) or a line editor puts a terminal into a mode of its own, and one that is killed cannot put it
back. So the master does, while it is in the foreground and has the terminal for itself.
Can go wrong: there is no terminal, or it is gone, or others use it, too (`forkful serve | less`): it is left as it is.
"""

import contextlib
import os
import termios
from collections.abc import Iterator
from pathlib import Path

Modes = list[int | list[bytes | int]]


class Terminal:
    """What it was like is seen once; from the background it would be the shell's own mode."""

    def __init__(self) -> None:
        self._modes: Modes | None = None
        with _opened() as fd:
            self._modes = _modes(fd)

    def restore(self) -> None:
        """Put it back, if somebody of ours may have changed it."""
        if self._modes is None:
            return
        with _opened() as fd:
            modes = _modes(fd)
            if modes is not None and modes != self._modes and not _is_shared():
                termios.tcsetattr(fd, termios.TCSANOW, self._modes)


@contextlib.contextmanager
def _opened() -> Iterator[int]:
    """Our terminal, or -1. What it refuses is refused in silence."""
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield -1
        return
    try:
        with contextlib.suppress(OSError, termios.error):
            yield fd
    finally:
        os.close(fd)


def _modes(fd: int) -> Modes | None:
    """Its modes, if there is one and we are in the foreground."""
    return termios.tcgetattr(fd) if fd >= 0 and os.tcgetpgrp(fd) == os.getpgrp() else None


def _is_shared() -> bool:
    """Whether somebody is in our process group who is neither of ours nor has started us: a pager, another job."""
    parents, group = {}, []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _, parent, pgrp = path.read_text().rpartition(")")[2].split()[:3]
            parents[int(path.parent.name)] = int(parent)
            group += [int(path.parent.name)] if int(pgrp) == os.getpgrp() else []
    above = {*_line(os.getpid(), parents)}
    return any(pid not in above and os.getpid() not in _line(pid, parents) for pid in group)


def _line(pid: int, parents: dict[int, int]) -> Iterator[int]:
    """A process, its parent, and so on."""
    while pid:
        yield pid
        pid = parents.get(pid, 0)
