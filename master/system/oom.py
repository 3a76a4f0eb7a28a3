"""Whether the kernel's out-of-memory killer took a process of our cgroup: only its files know, memory.events or, in
version 1, memory.oom_control.

Can go wrong: no memory cgroup here, or its files are not ours to read: then we never say that it was so. A child of a
handler that was killed while nobody of ours was may stand in for one of ours that somebody kills next.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path

from forkful.conf.light import dataclass

_UNIFIED, _V1 = "", "memory"  # the controllers of a line of /proc/self/cgroup, cgroups(7)


def kills(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """How many processes of our cgroup were killed for lack of memory."""
    for file in _files(proc, root):
        with contextlib.suppress(OSError, ValueError):
            for entry in file.read_text().splitlines():
                name, _, count = entry.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0


@dataclass(slots=True)
class Kills:
    """Those of our cgroup that have been told, or were none of ours."""

    told: int = field(default_factory=kills)

    def happened(self) -> bool:
        """Whether there was one more than was told. Each stands for one worker: several may be taken at a time."""
        if kills() <= self.told:
            return False
        self.told += 1
        return True

    def forget(self) -> None:
        """What was killed up to now has been told, or was none of ours."""
        self.told = kills()


def _files(proc: Path, root: Path) -> Iterator[Path]:
    """Where the count may be. In a container the path may be the host's, and the folder itself mounted in its place."""
    try:
        lines = [line.split(":", 2) for line in proc.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in (line for line in lines if len(line) == 3):  # noqa: PLR2004  # number, controllers, path
        if controllers == _UNIFIED:
            yield from (root / path.lstrip("/") / "memory.events", root / "memory.events")
        elif _V1 in controllers.split(","):
            folder = root / controllers
            yield from (folder / path.lstrip("/") / "memory.oom_control", folder / "memory.oom_control")
