"""The machine: what it is, and how much of it others used while something was measured.

What others used is the CPU time that was spent in all, less that of this process and its children; what the hypervisor
gave to others counts as theirs. Our children are counted when they have been waited for, so ask when they are gone.
Can go wrong: a kernel without the files read here: what they would have said is left out.
"""

import os
import platform
import re
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

PEERS = ("granian", "gunicorn", "uvicorn", "bjoern", "waitress", "uvloop", "httptools", "websockets", "django")


@dataclass(frozen=True, slots=True)
class Machine:
    """What does not change while it is measured on."""

    processor: str
    cores: int
    memory_gb: float
    kernel: str
    python: str
    versions: dict[str, str]

    def __str__(self) -> str:
        peers = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        cores = f"{self.cores} cores ({self.processor}), {self.memory_gb:.0f} GB"
        return f"{cores}, Linux {self.kernel}, CPython {self.python}; {peers}"

    def record(self) -> dict[str, Any]:  # Any: it becomes JSON
        return asdict(self)


def read() -> Machine:
    """This one."""
    return Machine(
        _processor(),
        len(os.sched_getaffinity(0)),
        psutil.virtual_memory().total / 1e9,
        platform.release(),
        ".".join(map(str, sys.version_info[:3])),
        {name: found for name in PEERS if (found := _version(name))},
    )


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _used() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice  # guests' are in `user`, too


def _ours() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@dataclass(slots=True)
class Watch:
    """Begun with a section; `others` at its end."""

    _began: float = field(default_factory=time.monotonic)
    _used: float = field(default_factory=_used)
    _ours: float = field(default_factory=_ours)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def others(self) -> float:
        """The share of all cores that was not ours, 0 to 1."""
        theirs = (_used() - self._used) - (_ours() - self._ours)
        return min(1.0, max(0.0, theirs / (self.seconds * (os.cpu_count() or 1))))
