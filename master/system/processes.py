"""What the kernel says of a worker's process: one short read each, for a page that asks about all of them.

psutil would take five times as long: it reads more files, and the process's creation time, before it can answer.
Can go wrong: a process that is gone has no answer (None), and a stranger who got its number is not taken for it.
"""

import os

from forkful.conf.light import dataclass

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PPID, _UTIME, _RSS = 1, 11, 21  # fields after the name, which may hold anything: proc_pid_stat(5)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has taken: CPU seconds (and of its own reaped children, as wait4(2) counts), resident bytes."""

    cpu_seconds: float
    resident_bytes: int


def wanted(pid: int) -> float:
    """CPU seconds that the main thread of a process had or stood in line for; schedstat of proc(5), sched-stats."""
    try:
        with open(f"/proc/{pid}/schedstat", "rb") as file:  # noqa: PTH123  # a third of the time
            had, waited, _ = file.read().split()
    except (OSError, ValueError):  # it is gone, or the kernel does not count
        return 0.0
    return (int(had) + int(waited)) / 1e9


def usage(pid: int, parent: int) -> Usage | None:
    """Look at one child of `parent`. A zombie still tells its CPU time."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fields = os.read(fd, 4096).rpartition(b")")[2].split()
    except OSError:  # ESRCH: it went between the two calls
        return None
    finally:
        os.close(fd)
    if int(fields[_PPID]) != parent:
        return None
    ticks = sum(map(int, fields[_UTIME : _UTIME + 4]))
    return Usage(ticks * _TICK, max(0, int(fields[_RSS])) * _PAGE)
