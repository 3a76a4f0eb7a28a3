"""The file of a Unix socket: whose it is, and who may connect.

It may lie in a directory that belongs to somebody else, who can put another file, or a link, in its place any moment.
So it is looked at once, as a descriptor, and whatever is done is done to that.
Can go wrong: what lies there is not the socket that was bound (`OSError`), or the owner may not be changed.
"""

import errno
import os
import stat

from forkful.conf import file_rights
from forkful.conf.light import dataclass

LEFT = -1  # a user or group that stays, chown(2)


@dataclass(frozen=True, slots=True)
class Access:
    """Permissions and owner (user, group). None: as they are."""

    mode: int | None = None
    owner: tuple[int, int] | None = None


def made(path: str, access: Access) -> tuple[int, int]:
    """Of a socket that this process has bound just now: give it its owner; return device and inode.

    Its permissions it was made with, by the umask.
    """
    fd = _look(path)
    try:
        found = os.fstat(fd)
        _check(found, found.st_uid == file_rights.maker(path))
        if access.owner is not None:
            os.chown(f"/proc/self/fd/{fd}", *access.owner)
        return found.st_dev, found.st_ino
    finally:
        os.close(fd)


def change(path: str, inode: tuple[int, int], access: Access) -> None:
    """Of a socket that is known by its device and inode: give it another owner and other permissions."""
    fd = _look(path)
    try:
        found = os.fstat(fd)
        _check(found, (found.st_dev, found.st_ino) == inode)
        if access.owner is not None:
            os.chown(f"/proc/self/fd/{fd}", *access.owner)
        if access.mode is not None:
            os.chmod(f"/proc/self/fd/{fd}", access.mode)  # noqa: PTH101  # a descriptor, not a path
    finally:
        os.close(fd)


def identify(path: str) -> tuple[int, int]:
    """Device and inode of a socket that was bound before us."""
    fd = _look(path)
    try:
        found = os.fstat(fd)
        _check(found, is_it=True)
        return found.st_dev, found.st_ino
    finally:
        os.close(fd)


def usual_umask() -> int:
    """The umask of this process, umask(2), which cannot be asked for only."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _look(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)


def _check(found: os.stat_result, is_it: bool) -> None:  # noqa: FBT001  # a fact
    """One more name for the same file would be somebody's way to have us give away what is not the service's."""
    if not (is_it and stat.S_ISSOCK(found.st_mode) and found.st_nlink == 1):
        raise OSError(errno.EEXIST, "somebody has put something else in the place of its file")
