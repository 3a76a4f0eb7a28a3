"""Errands: short-lived children that the master sends for something and listens to, without ever waiting for them.

The settings are read by one, so that the master stays small and cannot be hurt by them; a new installation is probed
by another.
Can go wrong: the child cannot be started (`OSError`), fails, or hangs: its exit code and words, or the transaction's
deadline, say so.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

from forkful.master.supervisor.state import State
from forkful.master.supervisor.transaction import Helper

Back = Callable[[State, Helper, float], None]


def send(what: str, arguments: Sequence[str], environ: Mapping[str, str], back: Back, fd: int | None = None) -> Helper:
    """Start a fresh interpreter with these arguments, and call `back` when it has ended.

    `fd`, if given, becomes its descriptor of the same number.
    """
    out_read, out_write = os.pipe()
    try:
        err_read, err_write = os.pipe()
    except OSError:
        os.close(out_read)
        os.close(out_write)
        raise
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, out_write, 1),
        (os.POSIX_SPAWN_DUP2, err_write, 2),
    ]
    if fd is not None:
        actions.append((os.POSIX_SPAWN_DUP2, fd, fd))
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, *arguments],
            environ,
            file_actions=actions,
            setpgroup=0,  # its own, which its children are in as well
            setsigmask=(),
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
    except OSError:
        os.close(out_read)
        os.close(err_read)
        raise
    finally:
        os.close(out_write)
        os.close(err_write)
    os.set_blocking(out_read, False)
    os.set_blocking(err_read, False)
    return Helper(what, back, pid, out_read, err_read)


def hear(state: State, helper: Helper, now: float) -> None:
    """Take what it wrote."""
    for fd, text in ((helper.stdout, helper.out), (helper.stderr, helper.err)):
        if fd < 0:
            continue
        with contextlib.suppress(BlockingIOError):
            while data := os.read(fd, 65_536):
                text.extend(data)
            _close(state, helper, fd)
    progress(state, helper, now)


def progress(state: State, helper: Helper, now: float) -> None:
    """Go on once it has ended and all it wrote is here."""
    if helper.code is not None and helper.stdout < 0 and helper.stderr < 0:
        helper.back(state, helper, now)


def complaint(helper: Helper) -> tuple[str, str]:
    """What one that failed wrote: its message, and the traceback or whatever else it said."""
    text = helper.err.decode(errors="replace").strip()
    message, _, rest = text.partition("\n")
    if message.startswith("Traceback"):  # of the interpreter, since not even our own words could be imported
        message, rest = f"the {helper.what} failed: {text.rpartition(chr(10))[2]}", text
    return message or f"the {helper.what} ended with {helper.code}", rest


def recall(state: State, helper: Helper) -> None:
    """Give it up, and its children with it: a probe has some, and they may hang like itself."""
    for fd in (helper.stdout, helper.stderr):
        if fd >= 0:
            _close(state, helper, fd)
    if helper.code is None:
        state.leaving.expect(helper.pid, helper.what)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(helper.pid, signal.SIGKILL)


def _close(state: State, helper: Helper, fd: int) -> None:
    state.unwatch(fd)
    os.close(fd)
    helper.closed(fd)
