"""The CPU time of a whole process tree, with the children that died in it.

The living are read from their CPU clocks, clock_getcpuclockid(3): what /proc/PID/stat says, not rounded to
10 ms. The dead that were waited for are in their parents' `cutime` and `cstime`, proc_pid_stat(5).
Can go wrong: a child that nobody waits for takes its time along; none of the contenders does that.
"""

import time

import psutil


def clock(pid: int) -> int:
    """The clock id of a process: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of Linux' posix-timers_types.h."""
    return (~pid << 3) | 2


def tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def seconds(pid: int) -> float:
    """User and system time of the process and all below it, living and waited for."""
    while True:
        try:
            return sum(_seconds(process) for process in tree(pid))
        except (ProcessLookupError, psutil.NoSuchProcess, OSError):
            if not psutil.pid_exists(pid):
                raise


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return time.clock_gettime(clock(process.pid)) + times.children_user + times.children_system
