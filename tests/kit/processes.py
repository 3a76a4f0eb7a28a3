"""What the operating system says about a running service: its session, its descriptors, its titles.

Can go wrong: a process ends while it is looked at; it is then left out.
"""

import ctypes
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_PIDFD_GETFD = 438


def session(leader: int) -> dict[int, str]:
    """Every process of a session, reparented ones too, by its title; zombies are not processes any more."""
    members = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            state, _, _, sid = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(sid) == leader and state not in "ZX":
                members[int(entry.name)] = title(int(entry.name))
    return members


def title(pid: int) -> str:
    """What `ps` shows."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()


def descriptors(pid: int) -> dict[int, str]:
    """What a process has open, by number: `socket:[inode]`, a path, ..."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found[int(entry.name)] = str(entry.readlink())
    return found


def sockets(pid: int) -> set[str]:
    """The sockets a process has open, as `socket:[inode]`."""
    return {link for link in descriptors(pid).values() if link.startswith("socket:")}


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def resident(pid: int) -> int:
    """Bytes of memory in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def switches(pid: int) -> int:
    """How often a process' threads gave up the CPU to wait: how often something woke them."""
    texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(line.split()[1]) for text in texts for line in text.splitlines() if line.startswith("voluntary"))


def duplicate(pid: int, address: object, peer: object = None) -> socket.socket | None:
    """A process's socket of this address, to ask the kernel about: a listener, or a client's connection.

    By pidfd_getfd(2), so it stays what it is whatever the process does.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        for number, link in descriptors(pid).items():
            copy = libc.syscall(_PIDFD_GETFD, pidfd, number, 0) if link.startswith("socket:") else -1
            if copy < 0:
                continue
            found = socket.socket(fileno=copy)
            if (_name(found.getsockname), _name(found.getpeername)) == (address, peer):
                return found
            found.close()
    finally:
        os.close(pidfd)
    return None


def _name(ask: Callable[[], Any]) -> object:  # Any: an address of the socket module
    """Host and port, or a path; None: it has none."""
    try:
        where = ask()
    except OSError:
        return None
    return where[:2] if isinstance(where, tuple) else where
