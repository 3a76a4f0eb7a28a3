"""Trust: what the user that workers become could change at a path that root uses.

Whoever may write a directory decides what is found under its names: another file, a link to somebody else's. A name
that root looks up is for root to say only where no directory on the way is that user's to write.
Can go wrong: nothing; what cannot be looked at ends the way, as it would for who opens it.
"""

import os
import re
import stat
from collections import deque
from typing import Self

from forkful.conf.light import dataclass
from forkful.conf.people import Identity

_LINKS = 40  # that the kernel follows, path_resolution(7)
_MAGIC = re.compile(r"/proc/[0-9]+(/task/[0-9]+)?/fd")  # what is open here, whatever its name says, proc(5)
_ACL = "system.posix_acl_access"  # acl(5)


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody who is not root, by numbers."""

    uid: int
    gid: int
    groups: tuple[int, ...]

    @classmethod
    def of(cls, identity: Identity) -> Self | None:
        """Who workers become, where that is somebody else than root."""
        if not identity.uid:  # None: whoever starts the service, and is root if anybody here is
            return None
        gid = identity.gid or 0
        return cls(identity.uid, gid, identity.groups or (gid,))

    def may_write(self, path: str) -> bool:
        """Whether it may write there, or may give itself the right to."""
        try:
            found = os.lstat(path)
        except OSError:
            return False
        if stat.S_ISLNK(found.st_mode):
            return False  # its mode says nothing, symlink(7)
        return found.st_uid == self.uid or bool(found.st_mode & self._write_bits(path, found))

    def may_rename_in(self, directory: str) -> bool:
        """Whether it may put something in the place of a file there that is another's."""
        try:
            found = os.lstat(directory)
        except OSError:
            return False
        return self.may_write(directory) and (found.st_uid == self.uid or not found.st_mode & stat.S_ISVTX)

    def owns(self, path: str) -> bool:
        try:
            return os.lstat(path).st_uid == self.uid
        except OSError:
            return False

    def _write_bits(self, path: str, found: os.stat_result) -> int:
        """The bits of the mode that count for it. With an ACL the group's are the most that anybody named there has."""
        is_named = found.st_gid in {self.gid, *self.groups} or (found.st_mode & stat.S_IWGRP and _has_acl(path))
        return stat.S_IWOTH | (stat.S_IWGRP if is_named else 0)


def changeable(path: str, by: Stranger) -> str:
    """What on the way to `path` is theirs to change, so that they decide what is found there; "" where nothing is.

    The file itself may be theirs: a name in a directory of root's stays with the file that root gave it to.
    """
    here, links = "/", 0
    ahead = deque(os.path.abspath(path).split("/")[1:])  # noqa: PTH100  # a pure function of text
    while ahead:
        name = ahead.popleft()
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)  # noqa: PTH120  # as above; nothing in it is a link
            continue
        there = os.path.join(here, name)  # noqa: PTH118
        if by.may_rename_in(here) or (by.may_write(here) and not os.path.lexists(there)):
            return here
        if by.may_write(here) and by.owns(there):  # in a sticky directory each may rename what is his
            return there
        if _MAGIC.fullmatch(here):
            return ""
        try:
            target = os.readlink(there)  # noqa: PTH115
        except OSError:  # no link, or nothing at all
            here = there
            continue
        links += 1
        if links > _LINKS:
            return here
        if target.startswith("/"):
            here = "/"
        ahead.extendleft(reversed(target.split("/")))
    return ""


def writable(path: str, by: Stranger) -> str:
    """The same, also where the file or directory that is found at last is theirs to write."""
    return changeable(path, by) or (path if by.may_write(os.path.realpath(path)) else "")


def _has_acl(path: str) -> bool:
    try:
        return bool(os.getxattr(path, _ACL, follow_symlinks=False))
    except OSError:
        return False
