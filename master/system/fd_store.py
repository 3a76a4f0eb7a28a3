"""The store: listening sockets that the service manager keeps, so that they survive even a crash of the master.

systemd's descriptor store, sd_notify(3): each listener is sent there under a name made from its address once its
generation serves, and comes back through `LISTEN_FDS` at the next start, queue and all.
Without a manager, or with `FileDescriptorStoreMax=0`, sockets are bound as ever.
"""

import os
from collections.abc import Mapping

from forkful.conf.address import STORED

_LONGEST = 255  # characters of a name, FDNAME_MAX
_DIGEST = 16
_MOST = 1024  # what is more is nonsense
_FIRST = 3  # SD_LISTEN_FDS_START


def name_of(address: str) -> str:
    """The name under which a listener is stored: systemd forbids colons and control characters, and allows 255.

    Different addresses have different names.
    """
    plain = "".join(c if c.isascii() and c.isprintable() and c not in ":%" else f"%{ord(c):x};" for c in address)
    if len(STORED + plain) <= _LONGEST:
        return STORED + plain
    import hashlib  # noqa: PLC0415  # OpenSSL, in every process, for a name that hardly anybody has

    digest = hashlib.sha256(address.encode(errors="surrogateescape")).hexdigest()[:_DIGEST]
    return STORED + plain[: _LONGEST - len(STORED) - _DIGEST] + digest


def handed_down(environ: Mapping[str, str], pid: int) -> set[int]:
    """The numbers of all descriptors that the manager gave us, not only of ours."""
    count = environ.get("LISTEN_FDS", "")
    meant = environ.get("LISTEN_PID") == str(pid) and count.isdecimal()
    return {*range(_FIRST, _FIRST + min(int(count), _MOST))} if meant else set()


def take(environ: Mapping[str, str], pid: int) -> dict[str, int]:
    """The descriptors of ours that the manager handed back, by name."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not count.isdecimal():
        return {}
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, int] = {}
    for fd, name in enumerate(names[: int(count)], _FIRST):
        if name.startswith(STORED):
            try:
                os.set_inheritable(fd, False)
            except OSError:  # not even open: the variables are from somewhere else
                continue
            if found.setdefault(name, fd) != fd:  # the newest is the first: service_collect_fds() of systemd
                os.close(fd)
    return found
