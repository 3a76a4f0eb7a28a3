"""The pid file: the master's process id, for scripts that want to signal it.

Can go wrong: it cannot be written, or names another process that lives: `OSError`.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from forkful.conf import file_rights


@contextlib.contextmanager
def kept(name: str) -> Iterator[None]:
    """Keep our process id in a file while we live. One left by a process that is gone is replaced."""
    if not name:
        yield
        return
    path = Path(name)
    holder = _holder(path)
    if holder != os.getpid():  # it is ours already after an upgrade
        if holder and _lives(holder):
            raise OSError(errno.EEXIST, f"process {holder} lives and has it")
        with file_rights.at(name):
            _write(path)
    try:
        yield
    finally:
        remove(name)


def remove(name: str) -> None:
    """Remove it, if it is still ours."""
    with contextlib.suppress(OSError), file_rights.at(name):
        if _holder(Path(name)) == os.getpid():
            Path(name).unlink()


def _write(path: Path) -> None:
    """In one step, and into no file that somebody else has made."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()  # of a process of that number that was killed
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(f"{os.getpid()}\n")
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _holder(path: Path) -> int:
    """Whose number it has; 0: nobody's. Whatever somebody may have put there, a FIFO say, keeps nobody waiting."""
    with file_rights.at(str(path)), contextlib.suppress(FileNotFoundError, ValueError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return int(os.read(fd, 32)) if stat.S_ISREG(os.fstat(fd).st_mode) else 0
        finally:
            os.close(fd)
    return 0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
