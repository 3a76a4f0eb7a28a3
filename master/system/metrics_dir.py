"""The metrics directory: where handlers' own prometheus_client metrics are kept while a service lives.

It is the workers' and lies in a directory that only we can change: so root makes it and lets it go by descriptors, and
what is in it is removed by the user whose it is. The outer one is locked as long as its master lives, also while an
upgrade executes the next image, which gets the descriptor: so any other start or stop can remove what a killed one left
behind, and only that.
Can go wrong: there is no directory that can be written: then each process has its metrics for itself.
"""

import contextlib
import fcntl
import os
import select
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from forkful.conf import file_rights, scratch
from forkful.conf.people import Identity
from forkful.conf.trust import changeable
from forkful.master.system import spawn

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "forkful-metrics-"
_INNER = "metrics"
_PATIENCE = 1.0  # seconds for a process to remove what is its user's


class Outer:
    """The outer directory, by a descriptor that children close, so that its lock dies with the master.

    `locked` is that of the last image, which goes on if it is still this directory's.
    """

    def __init__(self, path: Path, locked: int = -1) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        if locked >= 0 and os.path.samestat(os.fstat(locked), os.fstat(self._fd)):
            os.dup2(locked, self._fd, inheritable=False)
        if not path.name.startswith(_PREFIX) or os.fstat(self._fd).st_uid != os.geteuid():
            self.close()
            raise PermissionError(f"{path} is not ours")

    def fileno(self) -> int:
        return self._fd

    def take(self) -> bool:
        """Lock it; whether nobody else has."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def make_again(self) -> None:
        """Somebody has removed it."""
        self.path.mkdir(mode=0o700)
        self.close()
        again = Outer(self.path)
        self._fd = again._fd
        self.take()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def have(self, name: str) -> str:
        """A directory in it, made if it is not there, which is the workers'. `OSError` if it cannot be made."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=self._fd)  # Path knows no descriptors
        if (who := file_rights.stranger()) is not None:
            os.fchmod(self._fd, 0o711)  # they may go through, and see nothing  # nosec B103
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
            try:
                os.fchown(fd, who.uid, who.gid)
            finally:
                os.close(fd)
        return str(self.path / name)

    def remove(self, name: str) -> None:
        """Remove one of them, as far as that can be done."""
        with contextlib.suppress(OSError):
            found = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
            if found.st_uid != os.geteuid():
                _as(found.st_uid, found.st_gid, lambda: _empty(name, self._fd))
            else:
                _empty(name, self._fd)
            os.rmdir(name, dir_fd=self._fd)  # as above

    def vanish(self) -> None:
        """Remove all of it."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self._fd):  # noqa: PTH208  # as above
                self.remove(name)
            self.path.rmdir()


@contextlib.contextmanager
def directory(before: str, locked: int = -1) -> Iterator[tuple[str, Outer | None]]:
    """Give a directory, named by the environment for all children, and what it lies in; gone when we are. "": none.

    `before` is the directory of the last image of this master, which goes on, `locked` the descriptor of what it lies
    in, which is closed. One that the operator named is theirs.
    """
    told = os.environ.get(VARIABLE)
    if told and told != before:
        yield told, None
        return
    try:
        outer = _again(Path(before).parent, locked) if before else _make()
        path = outer.have(_INNER) if outer is not None else ""
    except OSError:
        if not before:
            raise
        yield before, None  # who serves goes on
        return
    if outer is None:
        yield "", None
        return
    _sweep()  # after our own is locked
    os.environ[VARIABLE] = path
    try:
        yield path, outer
    finally:
        os.environ.pop(VARIABLE, None)
        outer.vanish()
        outer.close()
        _sweep()


def _again(path: Path, locked: int) -> Outer:
    try:
        with contextlib.suppress(FileExistsError):  # else somebody has removed it
            path.mkdir(mode=0o700)
        outer = Outer(path, locked)
    finally:
        if locked >= 0:
            os.close(locked)
    outer.take()
    return outer


def _make() -> Outer | None:
    """In the first place that takes it and where the workers could not put something else in its place."""
    who = file_rights.stranger()
    for place in scratch.places(os.environ):
        if who is not None and (changeable(place, who) or who.may_rename_in(os.path.realpath(place))):
            continue
        with contextlib.suppress(OSError):
            while True:
                outer = Outer(Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place)))
                if outer.take() and outer.path.exists():
                    return outer
                outer.close()  # somebody sweeps at this moment, and took it for left
    return None


def mend(outer: Outer) -> None:
    """Make it again, if whoever tidies up the temporary directory has removed it. Without it no counter can be made."""
    with contextlib.suppress(OSError):
        if not outer.path.exists():
            outer.make_again()
        outer.have(_INNER)


def _sweep() -> None:
    """Remove what masters of ours left, or probes, that were killed."""
    for left in (left for place in scratch.places(os.environ) for left in Path(place).glob(f"{_PREFIX}*")):
        with contextlib.suppress(OSError):
            outer = Outer(left)
            if outer.take():
                outer.vanish()
            outer.close()


def _empty(name: str, fd: int) -> None:
    """Remove what is in a directory. It may be deeper than a recursion can go, or be filled meanwhile."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(name, ignore_errors=True, dir_fd=fd)


def _as(uid: int, gid: int, what: Callable[[], None]) -> None:
    """Do it in a process of this user, which gets a moment for it."""

    def main() -> int:
        Identity(uid, gid, (gid,)).assume()
        what()
        return 0

    pid = spawn.fork_child("forkful: tidying up", (), main, dies_with_parent=True)
    fd = os.pidfd_open(pid)
    try:
        if not select.select([fd], [], [], _PATIENCE)[0]:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    finally:
        os.close(fd)
    os.waitpid(pid, 0)
