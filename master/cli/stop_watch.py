"""A stop that is watched: who is still busy, and for how long, until the master's process has ended.

Only the end of the process is the end: an answer says that a stop has begun. The kernel names the process, by who
listens at the admin's Unix socket (unix(7), SO_PEERCRED), and tells of its end (pidfd_open(2)).
Can go wrong: the process is not to be seen from here (`ClientError`). ^C ends the watching, and not the stop.
"""

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from forkful.master.admin.status import PoolStatus, Status, WorkerStatus
from forkful.master.cli.client import ClientError
from forkful.master.model import format as as_text

_PERIOD = 1.0  # seconds between two looks
_REPEAT = 10.0  # seconds until unchanged lines are written again, where there is no terminal
_TITLE = ": master"  # ends the title of each master of ours

Show = Callable[[list[str]], None]


def process(address: str, *candidates: int) -> int:
    """A descriptor of the master's process, the first of these that is one. Raise `ClientError`."""
    for pid in candidates:
        with contextlib.suppress(OSError):
            fd = os.pidfd_open(pid)
            if _is_master(pid):
                return fd
            os.close(fd)
    raise ClientError(f"{address}: the master's process is not to be seen from here; stop it without --wait, or there")


def until_ended(fd: int, look: Callable[[], Status]) -> str:
    """Show who is busy until that process has ended; say how long that took."""
    started = time.monotonic()
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    with _screen() as show:
        while not poller.poll(_PERIOD * 1000):
            with contextlib.suppress(ClientError):  # the admin child leaves a moment before the master
                show([*busy(look())])
    return f"stopped after {as_text.duration(time.monotonic() - started)}"


def _is_master(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace").endswith(_TITLE)


def busy(service: Status) -> Iterator[str]:
    """A line for each worker that has something in flight."""
    for pool in service["pools"]:
        yield from (_line(pool, worker) for worker in pool["workers"] if worker["in_flight"])


def _line(pool: PoolStatus, worker: WorkerStatus) -> str:
    longest = max(worker["lane_seconds"], default=0.0)
    how_long = f", the longest for {as_text.duration(longest)}" if longest else ""
    name = as_text.plain(pool["name"])
    return f"{name}[{worker['slot']}] pid {worker['pid']}: {worker['in_flight']} in flight{how_long}"


@contextlib.contextmanager
def _screen() -> Iterator[Show]:
    """Where lines are shown: on a terminal in place of those before, else one below the other when they are others."""
    if sys.stdout.isatty():
        with Live(transient=True, auto_refresh=False) as live:
            yield lambda lines: live.update(_drawn(lines), refresh=True)
    else:
        yield _Lines().show


def _drawn(lines: list[str]) -> RenderableType:
    return Group(*map(Text, lines or ["nobody is busy; the service leaves"]))


class _Lines:
    def __init__(self) -> None:
        self._who: list[str] = []
        self._again_at = 0.0

    def show(self, lines: list[str]) -> None:
        now, who = time.monotonic(), [line.partition(",")[0] for line in lines]
        if who != self._who or now >= self._again_at:
            self._who, self._again_at = who, now + _REPEAT
            for line in lines:
                sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
