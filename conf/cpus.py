"""The CPUs that we may use: the least of affinity and the control groups' quotas, with the words how it came to that.

Can go wrong: files that are missing or say something else count as no quota.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class Cpus:
    count: int
    reason: str


def available(
    affinity: int | None = None, root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> Cpus:
    """What `workers = "auto"` means here."""
    allowed = len(os.sched_getaffinity(0)) if affinity is None else affinity
    quota = cgroup_quota(root, own)
    if quota is None:
        return Cpus(allowed, f"auto: {allowed} = affinity {allowed}, no cgroup quota")
    rounded = max(1, math.ceil(quota))
    count = min(allowed, rounded)
    return Cpus(count, f"auto: {count} = min(affinity {allowed}, cgroup quota {quota:g} -> {rounded})")


def cgroup_quota(root: Path, own: Path) -> float | None:
    """The smallest CPU quota of our control groups and those above them, in CPUs; None: no limit. See cgroups(7)."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    quotas: list[float] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            quotas += [quota for group in _upwards(root, path) if (quota := _unified(group)) is not None]
        elif "cpu" in controllers.split(","):
            for mount in {root / "cpu", root / controllers}:
                quotas += [quota for group in _upwards(mount, path) if (quota := _legacy(group)) is not None]
    return min(quotas, default=None)


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """Our group and those above it, as far as they are visible: in a container the mount may be our group itself."""
    parts = PurePosixPath(path).parts[1:]
    if ".." not in parts:  # a group outside of our namespace
        for depth in range(len(parts), 0, -1):
            yield mount.joinpath(*parts[:depth])
    yield mount


def _unified(group: Path) -> float | None:
    """cgroup v2: "150000 100000" is one and a half CPUs, "max 100000" no limit."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _legacy(group: Path) -> float | None:
    """cgroup v1: microseconds in a period, -1 is no limit."""
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        return None if quota < 0 else quota / int((group / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError, ZeroDivisionError):
        return None
