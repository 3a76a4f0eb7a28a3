"""The metrics directory: where handlers' own prometheus_client metrics are kept while a service lives.

It is locked as long as its master lives: so the next start can remove what a killed one left behind, and only that.
Can go wrong: there is no directory that can be written: then each process has its metrics for itself.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from forkful.conf import scratch
from forkful.conf.plan import MasterPlan
from forkful.master.system import identity

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "forkful-metrics-"
_PROBE = "probe"


class Lock:
    """A lock on a directory, held by a descriptor. Children close it, so that it dies with the master."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def take(self) -> bool:
        """Whether nobody else has it."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextlib.contextmanager
def directory(before: str) -> Iterator[tuple[str, Lock | None]]:
    """Give a directory, named by the environment for all children, and its lock; gone when we are. "": there is none.

    `before` is the directory of the last image of this master, which goes on. One that the operator named is theirs.
    """
    told = os.environ.get(VARIABLE)
    if told and told != before:
        yield told, None
        return
    path = before or scratch.make(_PREFIX)
    if path is None:
        yield "", None
        return
    try:
        lock = Lock(path)
    except OSError:
        if not before:
            raise
        yield path, None  # who serves goes on
        return
    lock.take()
    _sweep()  # after our own is locked: an upgrade comes back to a directory whose lock ended with the last image
    os.environ[VARIABLE] = path
    try:
        yield path, lock
    finally:
        os.environ.pop(VARIABLE, None)
        lock.close()
        shutil.rmtree(path, ignore_errors=True)


def mend(path: str, plan: MasterPlan) -> None:
    """Make it again, if whoever tidies up the temporary directory has removed it. Without it no counter can be made."""
    if path and not Path(path).exists():
        with contextlib.suppress(OSError):
            Path(path).mkdir(mode=0o700)
            identity.give(Path(path), plan)


def within(path: str, plan: MasterPlan) -> str:
    """A directory in that directory, for a probe, which cannot remove one of its own if it is killed; "": none."""
    if not path:
        return ""
    forget(path)
    probe = Path(path) / _PROBE
    probe.mkdir(mode=0o700)
    identity.give(probe, plan)
    return str(probe)


def forget(path: str) -> None:
    """Remove what a probe has left there."""
    if path:
        shutil.rmtree(Path(path) / _PROBE, ignore_errors=True)


def _sweep() -> None:
    """Remove what killed masters of ours left."""
    for left in (left for place in scratch.places(os.environ) for left in Path(place).glob(f"{_PREFIX}*")):
        with contextlib.suppress(OSError):
            if left.stat().st_uid != os.geteuid():
                continue
            lock = Lock(str(left))
            if lock.take():
                shutil.rmtree(left, ignore_errors=True)
            lock.close()
