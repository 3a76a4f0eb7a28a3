"""The admin child's Unix socket: the master's own, since whoever may open it commands the service.

It is in a directory that nobody else can write, so nobody puts another in its place. `admin.group` may use it, too.
Can go wrong: the directory is somebody else's, or can be written: `BindError`, and the service does without.
"""

import os
import stat
from pathlib import Path

from forkful.conf import file_rights, runtime, trust
from forkful.conf.address import Address
from forkful.conf.people import group_number
from forkful.master.system import listeners
from forkful.master.system.listeners import BindError, Listener
from forkful.master.system.socket_file import Access

_OURS, _SHARED = 0o600, 0o660
_PRIVATE, _PASSABLE = 0o700, 0o710  # of a directory that we make


def bind(address: Address, group: str = "") -> Listener:
    """Bind it and listen. Raises `BindError`, `OSError`, and `NobodyError` for a group that there is not."""
    gid = group_number(group) if group else -1
    directory = Path(address.path).parent
    _see_that_it_is_ours(directory)
    if not directory.is_dir():
        directory.mkdir(mode=_PRIVATE, parents=True)
    if gid >= 0:
        _let_pass(directory, gid)
    listener = listeners.bind(address, access=Access(_OURS))
    if gid >= 0:  # by its path, which is for us to say
        os.chown(address.path, -1, gid, follow_symlinks=False)
        Path(address.path).chmod(_SHARED)
    return listener


def _see_that_it_is_ours(directory: Path) -> None:
    who = file_rights.stranger()
    why = runtime.distrusted(directory, os.geteuid())
    if who is not None and not why and (theirs := trust.writable(str(directory), who)):
        why = f"user {who.uid}, whom the workers are, can write {theirs}"
    if why:
        raise BindError(f"{directory}/...: {why}, and so put another socket in its place; name a directory of your own")


def _let_pass(directory: Path, gid: int) -> None:
    """Let the group go through a directory that is only ours."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == _PRIVATE:
            os.fchown(fd, -1, gid)
            os.fchmod(fd, _PASSABLE)
    finally:
        os.close(fd)
