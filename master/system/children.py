"""Signals to children of ours and to nobody else: who is one is for the kernel to say, not for a message.

A number that a mold or a worker told us may be anybody's, -1 would be everybody's, and a child that was reaped has lost
its own. So a signal goes through a descriptor of the process, pidfd_open(2), once waitid(2) has it as a child of ours.
Can go wrong: there is no such child any more: nothing is sent.
"""

import contextlib
import os
import signal

_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT  # and reap nothing


def is_ours(pid: int) -> bool:
    """Whether this is a child of this process that was not reaped yet."""
    if pid <= 1:
        return False
    try:
        os.waitid(os.P_PID, pid, _LOOK)
    except (ChildProcessError, OverflowError):
        return False
    return True


def send_signal(pid: int, number: signal.Signals) -> bool:
    """Signal a child; return whether there was one."""
    if not is_ours(pid):
        return False
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except OSError:  # no descriptor is left. Nobody but us reaps, so the number is still that of the child we just saw
        os.kill(pid, number)
        return True
    try:
        os.waitid(os.P_PIDFD, fd, _LOOK)
        signal.pidfd_send_signal(fd, number)
    except (ChildProcessError, ProcessLookupError):
        return False
    finally:
        os.close(fd)
    return True


def how(code: int) -> str:
    """Say in words how a process ended."""
    if code >= 0:
        return f"exit code {code}"
    name = f"signal {-code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
    return f"killed by {name} ({signal.strsignal(-code)})"
