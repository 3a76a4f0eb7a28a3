"""Flatness: memory, descriptors, threads and scoreboard rows of a service, early and late in its life.

Samples are taken while the service is whole and nothing happens. The medians of the first and of the last quarter are
compared; what grew by more than `ROOM` is a leak until it is explained.
Can go wrong: a process ends while it is looked at; it is then left out.
"""

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from forkful.worker.ipc import scoreboard
from tests.kit import processes

_ROLE = re.compile(r"forkful: (?P<role>\w+)(?: (?P<pool>[\w-]+)\[)?")
_MEGABYTE = 1 << 20

Sample = Mapping[tuple[str, str], float]  # by role and measure


class Room(NamedTuple):
    """How much may be more: a share of what there was, and so much."""

    share: float
    more: float


#: Resident memory is what the kernel left there: pages of a file that another process touched come and go.
#: Descriptors and threads of workers come and go with connections and requests.
ROOM = {"memory": Room(0.10, 3 * _MEGABYTE), "descriptors": Room(0.05, 2), "threads": Room(0.10, 2), "rows": Room(0, 1)}
ENOUGH = 40  # samples, without which nothing is said


def sample(master: int) -> Sample:
    """Of each role the process that has the most."""
    found: defaultdict[tuple[str, str], float] = defaultdict(float)
    for pid, title in processes.session(master).items():
        if (match := _ROLE.match(title)) is None:
            continue
        role = " ".join(filter(None, (match["role"], match["pool"])))
        with contextlib.suppress(OSError):
            threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
            sizes = {
                "memory": processes.resident(pid),
                "descriptors": len(processes.descriptors(pid)),
                "threads": threads,
            }
            for measure, size in sizes.items():
                found[role, measure] = max(found[role, measure], size)
    found["scoreboard", "rows"] = rows(master)
    return found


def rows(master: int) -> int:
    """How many rows of its scoreboard are held by somebody."""
    number = next(n for n, link in processes.descriptors(master).items() if "forkful-scoreboard" in link)
    size, first = scoreboard.CELLS * 8, int(str(scoreboard.LAYOUT["first lane"]))
    with Path(f"/proc/{master}/fd/{number}").open("rb", buffering=0) as file:
        high = memoryview(file.read(size)).cast("Q")[scoreboard._HIGH]  # noqa: SLF001  # it is another process's, to be looked at and left
        file.seek(first * size)
        cells = memoryview(file.read((high - first) * size)).cast("Q")
    return sum(pid != 0 for pid in cells[scoreboard.PID :: scoreboard.CELLS].tolist())


class Growth(NamedTuple):
    """What a role had in the first quarter and in the last."""

    role: str
    measure: str
    first: float
    last: float

    @property
    def is_flat(self) -> bool:
        room = ROOM[self.measure]
        return self.last <= self.first * (1 + room.share) + room.more


def growth(samples: Sequence[Sample]) -> Iterator[Growth]:
    """Medians of the first and the last quarter, for what is in both."""
    if len(samples) < ENOUGH:
        return
    quarter = len(samples) // 4
    first, last = samples[:quarter], samples[-quarter:]
    for role, measure in sorted({key for each in samples for key in each}):
        early = [each[role, measure] for each in first if (role, measure) in each]
        late = [each[role, measure] for each in last if (role, measure) in each]
        if early and late:
            yield Growth(role, measure, median(early), median(late))


def table(found: Sequence[Growth]) -> list[str]:
    by_role: dict[str, dict[str, Growth]] = {}
    for each in found:
        by_role.setdefault(each.role, {})[each.measure] = each
    lines = ["| process | memory, MB | descriptors | threads |", "|---|---|---|---|"]
    for role, measures in by_role.items():
        if "memory" in measures:
            memory = _pair(measures["memory"], _MEGABYTE, ".1f")
            counts = " | ".join(_pair(measures[name]) for name in ("descriptors", "threads"))
            lines.append(f"| {role} | {memory} | {counts} |")
    held = by_role.get("scoreboard", {}).get("rows")
    return [*lines, "", f"Rows of the scoreboard that somebody holds: {_pair(held)}."] if held else lines


def _pair(each: Growth, unit: float = 1, form: str = "g") -> str:
    return f"{each.first / unit:{form}} → {each.last / unit:{form}}"
