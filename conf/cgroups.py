"""The control groups that we are in, and what they allow: CPUs and memory, cgroups(7), of both versions.

Can go wrong: files that are missing or say something else count as no limit.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_NONE = 2**60  # bytes; version 1 writes "no limit" as the largest number of whole pages


def cpu_quota(root: Path = ROOT, own: Path = OWN) -> float | None:
    """The smallest CPU quota of our control groups and those above them, in CPUs; None: no limit."""
    quotas = (_unified(group) if is_unified else _legacy(group) for group, is_unified in _groups("cpu", root, own))
    return min((quota for quota in quotas if quota is not None), default=None)


def memory_limit(root: Path = ROOT, own: Path = OWN) -> int | None:
    """The smallest limit of memory, in bytes; None: no limit."""
    names = {True: "memory.max", False: "memory.limit_in_bytes"}
    limits = (_bytes(group / names[is_unified]) for group, is_unified in _groups("memory", root, own))
    return min((limit for limit in limits if limit is not None), default=None)


def _groups(controller: str, root: Path, own: Path) -> Iterator[tuple[Path, bool]]:
    """The directories that have a word in this, and whether each is of version 2."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from ((group, True) for group in _upwards(root, path))
        elif controller in controllers.split(","):
            for mount in {root / controller, root / controllers}:
                yield from ((group, False) for group in _upwards(mount, path))


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


def _bytes(path: Path) -> int | None:
    try:
        limit = int(path.read_text())
    except (OSError, ValueError):  # "max"
        return None
    return limit if limit < _NONE else None
