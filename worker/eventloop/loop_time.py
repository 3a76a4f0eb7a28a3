"""The time for which this thread had the CPU or waited for it: what an event loop does when it does not sleep.

Can go wrong: the kernel does not tell of the waiting (no CONFIG_SCHED_INFO), or there is no descriptor left: then
only the time with the CPU is known.
"""

from pathlib import Path
from time import thread_time_ns

_SCHEDSTAT = Path("/proc/thread-self/schedstat")  # ns on the CPU, ns on a run queue, time slices: proc(5)


def wanted_ns() -> int:
    """Nanoseconds since the start of this thread, on the CPU and on a run queue."""
    try:
        had, waited = _SCHEDSTAT.read_bytes().split()[:2]
        return int(had) + int(waited)
    except (OSError, ValueError):
        return thread_time_ns()
