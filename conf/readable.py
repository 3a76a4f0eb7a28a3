"""Readable: whether who workers become can read the Python that they run, asked of the kernel by a child that is him.

Workers, mold and admin child import much only once they are somebody else. Below a closed directory, as root's home is,
they find neither the standard library nor what is installed, and each of them would die of another error.
Can go wrong: there is no process to be had, or it may not become him: then nothing is known here, and the start tells.
"""

import contextlib
import os
from importlib.util import find_spec
from pathlib import Path

from forkful.conf.people import Identity

_INSTALLED = ("httptools", "prometheus_client", "psutil", "uvloop")  # what is imported late; one tells of its place


def unreadable(who: Identity) -> str:
    """What of this Python he cannot read, and "" where that is nothing: the outermost directory that is closed to him.

    Access control lists, groups and what else decides it are the kernel's affair, access(2).
    """
    if who.uid is None or os.geteuid() != 0:
        return ""
    specs = [find_spec(name) for name in _INSTALLED]
    paths = [os.__file__, *(spec.origin for spec in specs if spec is not None and spec.origin)]
    try:
        read, write = os.pipe()
    except OSError:
        return ""
    try:
        pid = os.fork()
    except OSError:
        os.close(read)
        os.close(write)
        return ""
    if pid == 0:
        with contextlib.suppress(BaseException):
            who.assume()
            os.write(write, os.fsencode(next(filter(None, map(_closed, paths)), "")))
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as said:
        found = said.read()
    with contextlib.suppress(ChildProcessError):  # a script waits for its children itself, or ignores SIGCHLD
        os.waitpid(pid, 0)
    return os.fsdecode(found)


def _closed(path: str) -> str:
    """What keeps this process from reading the file; "" where nothing does."""
    for parent in reversed(Path(path).parents):
        if not os.access(parent, os.X_OK):
            return str(parent)
    return "" if os.access(path, os.R_OK) else path
