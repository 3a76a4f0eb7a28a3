"""Users and groups: names or numbers, as the operator wrote them, to the identity that a process takes on.

Can go wrong: a name that nobody has, or a number that is none: `NobodyError`, whose message says so.
"""

import grp
import os
import pwd
from collections.abc import Callable
from typing import Self

from forkful.conf.light import dataclass

_NUMBERS = 0xFFFF_FFFE  # (uid_t)-1 is the kernel's "leave it as it is", setreuid(2)


class NobodyError(LookupError):
    """There is no such user or group."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process becomes, credentials(7). None: as it is."""

    uid: int | None
    gid: int | None
    groups: tuple[int, ...] | None  # supplementary

    @classmethod
    def of(cls, user: str, group: str) -> Self:
        """Who to become; a part that this process is already is None, for then it needs no right to become it.

        A user comes with its own group and supplementary groups; `group` takes the place of the first. A user number
        without an entry in passwd has no group of its own: it gets the group of the same number, so that nobody keeps
        root's group by accident. Raises `NobodyError`.
        """
        uid = user_number(user) if user else None
        gid = group_number(group) if group else None
        if uid is None or uid == os.geteuid():
            other = gid if gid != os.getegid() else None
            return cls(None, other, None if other is None else (other,))
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:  # a number that has no name is fine with the kernel
            gid = uid if gid is None else gid
            return cls(uid, gid, (gid,))
        gid = entry.pw_gid if gid is None else gid
        return cls(uid, gid, tuple(os.getgrouplist(entry.pw_name, gid)))

    def assume(self) -> None:
        """Become it: groups first, while this process still may."""
        if self.groups is not None:
            os.setgroups(self.groups)
        if self.gid is not None:
            os.setgid(self.gid)
        if self.uid is not None:
            os.setuid(self.uid)


def owner(text: str) -> tuple[int | None, int | None]:
    """User and group of `USER[:GROUP]`; None where it names none. Raises `NobodyError`."""
    user, _, group = text.partition(":")
    return user_number(user) if user else None, group_number(group) if group else None


def user_number(text: str) -> int:
    return _number("user", text, lambda name: pwd.getpwnam(name).pw_uid)


def group_number(text: str) -> int:
    return _number("group", text, lambda name: grp.getgrnam(name).gr_gid)


def _number(kind: str, text: str, look_up: Callable[[str], int]) -> int:
    if text.isascii() and text.isdecimal():
        if int(text) > _NUMBERS:
            raise NobodyError(f"{text} is no number of a {kind}: they end at {_NUMBERS}")
        return int(text)
    try:
        return look_up(text)
    except (KeyError, ValueError):  # ValueError: a zero byte in it
        raise NobodyError(f"there is no {kind} {text!r}") from None
