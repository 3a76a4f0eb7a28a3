"""File rights: with whose rights root opens, makes and removes files at places that the settings name.

Where the user that workers become could change what is found at the path, it is done with that user's rights, so root
does nothing there that the user could not do. Elsewhere root does it, and shares what it opened by its descriptor.
The rights are the thread's alone, setfsuid(2): nobody may signal or trace us meanwhile.
Can go wrong: what that user may not open, root does not open there either: `OSError`.
"""

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Iterator

from forkful.conf.people import Identity
from forkful.conf.trust import Stranger, changeable

_MODE = 0o640
_shared_with: Stranger | None = None


def share_with(identity: Identity) -> None:
    """Say who the workers are. Called in the master, and known to its children."""
    global _shared_with  # noqa: PLW0603  # whose rights a process uses is the process's
    _shared_with = Stranger.of(identity)


def stranger() -> Stranger | None:
    """The user that workers become, where this process is root and they are not."""
    return _shared_with if os.geteuid() == 0 else None


def maker(path: str) -> int:
    """Whose a file is that is made at this path."""
    who = stranger()
    return who.uid if who is not None and changeable(path, who) else os.geteuid()


@contextlib.contextmanager
def at(path: str) -> Iterator[None]:
    """Have the rights with which this path is to be used."""
    who = stranger()
    if who is None or not changeable(path, who):
        yield
        return
    libc = ctypes.CDLL(None)
    groups, gid, uid = os.getgroups(), libc.setfsgid(-1), libc.setfsuid(-1)  # which changes nothing, and tells
    try:
        os.setgroups(who.groups)
        libc.setfsgid(who.gid)
        libc.setfsuid(who.uid)
        if libc.setfsuid(-1) != who.uid:
            raise PermissionError(f"cannot take the rights of user {who.uid} to use {path}")
        yield
    finally:
        libc.setfsuid(uid)
        libc.setfsgid(gid)
        os.setgroups(groups)


def open_shared(path: str, flags: int) -> int:
    """Open a log for us and for the workers, who open it again after a rotation. An `opener` for open()."""
    flags |= os.O_CLOEXEC
    if (who := _shared_with) is None:
        return os.open(path, flags, _MODE)
    if not changeable(path, who):
        fd = os.open(path, flags, _MODE)
        found = os.fstat(fd)
        if os.geteuid() == 0 and stat.S_ISREG(found.st_mode) and found.st_uid == 0 and found.st_nlink == 1:
            os.fchown(fd, who.uid, who.gid)
        return fd
    with at(path):  # a FIFO that nobody reads would keep us waiting, here and in each child
        fd = os.open(path, flags | os.O_NOCTTY | os.O_NONBLOCK, _MODE)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, f"is no file, and lies where user {who.uid} can write", path)
    return fd
