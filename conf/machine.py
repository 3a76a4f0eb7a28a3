"""The machine: what the settings depend on besides their sources, as questions that a test can answer otherwise.

Can go wrong: systemd does not answer, or not in time: then its limit is unknown.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path

from forkful.conf.cgroups import cpu_quota, memory_limit
from forkful.conf.cpus import Cpus, available
from forkful.conf.light import dataclass
from forkful.conf.people import Identity
from forkful.conf.readable import unreadable

_PATIENCE = 2.0  # seconds for systemctl
_SPAN = re.compile(r"([0-9.]+)(us|ms|min|s|h|d|w|month|y)")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800, "month": 2.63e6, "y": 3.16e7}


def stop_limit(environ: Mapping[str, str]) -> float | None:
    """Seconds that systemd gives our unit to stop, where we run under it and it says; None: no limit that we know."""
    systemctl = shutil.which("systemctl")
    if "INVOCATION_ID" not in environ or not systemctl:
        return None
    unit = unit_of(Path("/proc/self/cgroup").read_text())
    if not unit:
        return None
    command = [systemctl, *unit, "--property=TimeoutStopUSec", "--value"]
    # systemd's programs tell $NOTIFY_SOCKET when they fail, as if they were the service.
    environment = {key: value for key, value in environ.items() if key != "NOTIFY_SOCKET"}
    try:
        answer = subprocess.run(  # noqa: S603
            command, env=environment, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return seconds(answer.stdout)


def unit_of(cgroups: str) -> tuple[str, ...]:
    """The words by which systemctl shows the service that holds these control groups, cgroups(7)."""
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        parts = path.split("/")
        if controllers in {"", "name=systemd"} and parts[-1].endswith(".service"):
            of_user = any(part.startswith("user@") for part in parts[:-1])
            return (*(["--user"] if of_user else []), "show", parts[-1])
    return ()


def seconds(span: str) -> float | None:
    """Read a time span as systemd writes it, systemd.time(7): "1min 30s"; None for "infinity" and what is none."""
    parts = [_SPAN.fullmatch(part) for part in span.split()]
    if not parts or None in parts:
        return None
    return sum(float(part[1]) * _UNITS[part[2]] for part in parts if part)


@dataclass(frozen=True, slots=True)
class Machine:
    """The questions. `pids` are the processes that systemd may have meant with `LISTEN_PID`."""

    pids: frozenset[int] = field(default_factory=lambda: frozenset({os.getpid()}))
    uid: int = field(default_factory=os.geteuid)
    gid: int = field(default_factory=os.getegid)
    groups: frozenset[int] = field(default_factory=lambda: frozenset(os.getgroups()))
    cwd: str = field(default_factory=os.getcwd)
    cpus: Callable[[], Cpus] = available
    cpu_quota: Callable[[], float | None] = cpu_quota
    memory_limit: Callable[[], int | None] = memory_limit
    stop_limit: Callable[[Mapping[str, str]], float | None] = stop_limit
    unreadable: Callable[[Identity], str] = unreadable
