"""The store: listening sockets that the service manager keeps, so that they survive even a crash of the master.

systemd's descriptor store, sd_notify(3): each listener is sent there under a name made from its address, and comes
back through `LISTEN_FDS` at the next start, queue and all.
Can go wrong: nothing; without a manager, or with `FileDescriptorStoreMax=0`, sockets are bound as ever.
"""

import os
from collections.abc import Mapping

PREFIX = "forkful-"  # of names in the store, against those of a .socket unit
_FIRST = 3  # SD_LISTEN_FDS_START


def name_of(address: str) -> str:
    """The name under which a listener is stored: systemd forbids colons and control characters, and allows 255."""
    return (
        PREFIX + "".join(c if c.isascii() and c.isprintable() and c != ":" else f"%{ord(c):x}" for c in address)[:240]
    )


def take(environ: Mapping[str, str], pid: int) -> dict[str, int]:
    """The descriptors of ours that the manager handed back, by name."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not count.isdecimal():
        return {}
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found = {name: _FIRST + index for index, name in enumerate(names[: int(count)]) if name.startswith(PREFIX)}
    for fd in found.values():
        os.set_inheritable(fd, False)
    return found
