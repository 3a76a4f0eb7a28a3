"""Whether the kernel's out-of-memory killer took a process of our cgroup: only `memory.events` knows.

Can go wrong: no cgroup v2 here, or its files are not ours to read: then we never say that it was so.
"""

import contextlib
from pathlib import Path

from forkful.master.house import House


def happened(house: House) -> bool:
    """Whether a kill was counted since the last time we looked."""
    before, house.oom_kills = house.oom_kills, kills()
    return house.oom_kills > before


def kills(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """How many processes of our cgroup were killed for lack of memory: `oom_kill` of memory.events (cgroup v2)."""
    with contextlib.suppress(OSError, ValueError):
        for line in proc.read_text().splitlines():
            number, _, path = line.split(":", 2)
            if number == "0":
                for entry in (root / path.lstrip("/") / "memory.events").read_text().splitlines():
                    name, count = entry.split()
                    if name == "oom_kill":
                        return int(count)
    return 0
