"""The rite of forking: prepare, block signals, fork, each side keeps its own, unblock.

Can go wrong: the kernel refuses a process (`OSError`: EAGAIN, ENOMEM); the caller says what it could not start.
"""

import contextlib
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Protocol

import setproctitle

log = logging.getLogger("forkful.master")

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_NAMES = ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "TTIN", "TTOU", "WINCH", "CHLD", "ABRT")
#: What a master or a child of ours has a meaning for.
HEARD = tuple(signal.Signals[f"SIG{name}"] for name in _NAMES)
#: What a service manager says to the master alone: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3). A program
#: that finds it and takes it for its own reports on us: systemd's own do, when they fail.
FROM_THE_MANAGER = frozenset(
    {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES"}
)
#: What a background job gets from the kernel when it reads from its terminal, or writes to it.
_JOB_CONTROL = (signal.SIGTTIN, signal.SIGTTOU)
_Mask = set[int | signal.Signals]


class Closable(Protocol):
    def close(self) -> object: ...


def become_subreaper() -> None:
    """Make orphaned descendants our children, so that workers cast by a mold are ours: prctl(2)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def fork_child(
    title: str,
    discard: Iterable[Closable],
    main: Callable[[], int],
    *,
    dies_with_parent: bool,
    keeps_terminal: bool = False,
) -> int:
    """Fork a child that runs `main` and leaves with what it returns; give the parent its process id.

    `discard` is what the parent has open and the child must not hold.
    """

    def run() -> int:
        if not keeps_terminal:
            _leave_the_terminal()
        return main()

    sys.stdout.flush()
    sys.stderr.flush()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _child(title, discard, run, mask, dies_with_parent=dies_with_parent)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _child(
    title: str,
    discard: Iterable[Closable],
    main: Callable[[], int],
    mask: _Mask,
    *,
    dies_with_parent: bool,
) -> None:
    code = 1
    try:
        if dies_with_parent:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        reset_signals()
        for name in FROM_THE_MANAGER:
            os.environ.pop(name, None)
        for thing in discard:
            thing.close()
        setproctitle.setproctitle(title)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask - {*HEARD})
        code = main()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        log.exception("%s failed", title)
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _leave_the_terminal() -> None:
    """Read nothing from the master's standard input: /dev/null is there, also for what Python has read ahead of it."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if null != 0:
        os.close(null)
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # type: ignore[misc]  # noqa: SIM115  # as long as we live


def die_with_parent() -> None:
    """Once more, in a child that has become somebody else meanwhile: the kernel forgets it then."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def outlive_parent() -> None:
    """In a child that dies with its parent: from now on it decides for itself when to leave."""
    _prctl(_PR_SET_PDEATHSIG, 0)


def reset_signals() -> None:
    """Put a child's signals to what a fresh process has: nothing of the master's handlers may run in it."""
    with contextlib.suppress(ValueError):  # not the main thread: there is no wakeup descriptor to take back
        signal.set_wakeup_fd(-1)
    for number in HEARD:
        signal.signal(number, signal.SIG_DFL)
    for number in _JOB_CONTROL:  # else the kernel stops a child; with a handler it would try for ever
        signal.signal(number, signal.SIG_IGN)


def ignore(*numbers: signal.Signals) -> None:
    """Ignore signals by a handler that does nothing: unlike SIG_IGN, programs that we execute do not inherit it."""
    for number in numbers:
        signal.signal(number, lambda *_: None)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}, {value}): {os.strerror(number)}")
