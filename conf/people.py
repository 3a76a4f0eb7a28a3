"""Users and groups: names or numbers, as the operator wrote them, to the numbers that the kernel wants.

Can go wrong: a name that nobody has: `KeyError`.
"""

import grp
import os
import pwd
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process becomes, credentials(7). None: as it is."""

    uid: int | None
    gid: int | None
    groups: tuple[int, ...] | None  # supplementary


def user_number(text: str) -> int:
    return int(text) if text.isdecimal() else pwd.getpwnam(text).pw_uid


def group_number(text: str) -> int:
    return int(text) if text.isdecimal() else grp.getgrnam(text).gr_gid


def identity(user: str, group: str) -> Identity:
    """Who to become. A user comes with its own group and supplementary groups, unless a group is named."""
    uid = user_number(user) if user else None
    gid = group_number(group) if group else None
    if uid is None or uid == os.geteuid():
        return Identity(None, gid if gid != os.getegid() else None, None)
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:  # a number that has no name is fine with the kernel
        return Identity(uid, gid, (gid,) if gid is not None else ())
    gid = entry.pw_gid if gid is None else gid
    return Identity(uid, gid, tuple(os.getgrouplist(entry.pw_name, gid)))
