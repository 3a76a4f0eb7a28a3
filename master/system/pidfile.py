"""The pid file: the master's process id, for scripts that want to signal it.

Can go wrong: it cannot be written, or names another process that lives: `OSError`.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path


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
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            temporary.write_text(f"{os.getpid()}\n")
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    try:
        yield
    finally:
        remove(name)


def remove(name: str) -> None:
    """Remove it, if it is still ours."""
    with contextlib.suppress(OSError):
        if _holder(Path(name)) == os.getpid():
            Path(name).unlink()


def _holder(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int(path.read_text())
    return 0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
