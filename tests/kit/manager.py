"""How a service manager starts a service with sockets: from descriptor 3 on, with their names, sd_listen_fds(3)."""

import socket
import sys
from collections.abc import Mapping

from tests.kit.door import Door

_START = """
import fcntl, os, sys
names, *rest = sys.argv[1:]
end = rest.index("--")
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in rest[:end]]
for number, fd in enumerate(high, 3):
    os.dup2(fd, number, inheritable=True)
os.closerange(3 + len(high), 256)
os.environ.update(LISTEN_FDS=str(len(high)), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=names)
os.execv(rest[end + 1], rest[end + 1:])
"""


def starting_with(sockets: Mapping[str, Door]) -> list[str]:
    """The wrapper of a command that gives it these sockets by name. The doors must be handed down, too."""
    fds = [str(door.listener.fileno()) for door in sockets.values() if door.listener]
    return [sys.executable, "-c", _START, ":".join(sockets), *fds, "--"]


def kept(fd: int) -> Door:
    """The door behind a socket from the manager's store."""
    listener = socket.socket(fileno=fd)
    address = listener.getsockname()
    return Door(listener.family, listener.type, address if isinstance(address, str) else address[:2], listener)
