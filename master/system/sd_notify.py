"""Telling the service manager how we are: sd_notify(3).

Can go wrong: the manager's socket is gone: what we say is dropped, it never hurts the service. Or it is full: what we
say waits, because a manager that misses READY=1 would end us.
"""

import array
import errno
import math
import os
import socket
import time
from collections import deque
from collections.abc import Mapping

from forkful.conf.address import STORED, too_long
from forkful.conf.light import dataclass

BARRIER = STORED + "barrier"  # the name of a pipe in the store
_LONGEST = 1000  # characters of a STATUS: systemd takes no message beyond 4096 bytes
_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})  # the manager is slow, or the machine short: try again
_AGAIN = 0.1  # seconds until we do
_MOST = 1000  # messages that wait; a manager that took none of them is not there


@dataclass(frozen=True, slots=True)
class _Message:
    """What waits to be sent, with a descriptor of its own (-1: none) until it is."""

    text: bytes
    fd: int = -1


class Notifier:
    """Sends to `$NOTIFY_SOCKET`; does nothing where there is none."""

    def __init__(self, address: str | None = None) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None
        self._waiting: deque[_Message] = deque()
        self._status = ""

    def send(self, **fields: str | int) -> None:
        """Send these fields in one message, e.g. `send(READY=1, STATUS="serving")`."""
        self._send("\n".join(f"{key}={value}" for key, value in fields.items()))

    def status(self, text: str) -> None:
        """Say a `STATUS=` of one line, once per change."""
        text = one_line(text)
        if self._status != text:
            self._status = text
            self.send(STATUS=text)

    def reloading(self) -> None:
        self.send(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)

    def store(self, name: str, fd: int) -> None:
        """Ask the manager to keep a duplicate of a descriptor for the next start, until we say otherwise."""
        self._send(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}", fd)

    def unstore(self, name: str) -> None:
        self.send(FDSTOREREMOVE=1, FDNAME=name)

    def barrier(self) -> int:
        """A descriptor whose end of file means that the manager has let go of what it was to remove before.

        -1 where there is no manager. A BARRIER=1 would only tell that it has read so: systemd closes what was stored in
        a thread of its own, later, asynchronous_close(). So the last to be removed is a pipe, whose end we see.
        """
        if self._sock is None:
            return -1
        ours, theirs = os.pipe()
        self.store(BARRIER, theirs)
        self.unstore(BARRIER)
        os.close(theirs)
        return ours

    def flush(self, now: float) -> float:
        """Send what waits; return when to try again (monotonic seconds)."""
        while self._waiting and self._sent(self._waiting[0]):
            message = self._waiting.popleft()
            if message.fd >= 0:
                os.close(message.fd)
        return now + _AGAIN if self._waiting else math.inf

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
        for message in self._waiting:
            if message.fd >= 0:
                os.close(message.fd)
        self._waiting.clear()

    def _send(self, text: str, fd: int = -1) -> None:
        if self._sock is None:
            return
        message = _Message(text.encode(errors="replace"), fd)
        if (self._waiting or not self._sent(message)) and len(self._waiting) < _MOST:
            self._waiting.append(_Message(message.text, os.dup(fd) if fd >= 0 else -1))

    def _sent(self, message: _Message) -> bool:
        """Whether there is nothing more to do about it."""
        assert self._sock is not None
        fds = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [message.fd]))] if message.fd >= 0 else []
        try:
            self._sock.sendmsg([message.text], fds, socket.MSG_DONTWAIT, self._address)
        except OSError as error:
            return error.errno not in _FULL
        return True


def unreachable(environ: Mapping[str, str]) -> str:
    """Why nobody can be reached at `$NOTIFY_SOCKET`; empty where that is not so, or where there is none."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return ""
    if address[0] not in "/@":
        return "NOTIFY_SOCKET is neither an absolute path nor an abstract name with @"
    problem = too_long(address)
    return f"NOTIFY_SOCKET: {problem}" if problem else ""


def one_line(text: str) -> str:
    """A text as a STATUS can carry it: no line breaks or control characters, and not too long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def watchdog_interval(environ: Mapping[str, str], pid: int) -> float:
    """Seconds between `WATCHDOG=1`: half of what is allowed, sd_watchdog_enabled(3). `math.inf`: none wanted."""
    allowed, meant = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not allowed.isdecimal() or int(allowed) == 0 or (meant and meant != str(pid)):
        return math.inf
    return int(allowed) / 2e6
