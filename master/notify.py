"""Telling the service manager how we are: sd_notify(3).

Can go wrong: the manager's socket is gone or full; a notification is then dropped, it never hurts the service.
"""

import array
import contextlib
import math
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Sends to `$NOTIFY_SOCKET`; does nothing where there is none."""

    def __init__(self, address: str | None = None) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None
        self._said: dict[str, str] = {}

    def send(self, **fields: str | int) -> None:
        """Send these fields in one message, e.g. `send(READY=1, STATUS="serving")`."""
        if self._sock is not None:
            text = "\n".join(f"{key}={value}" for key, value in fields.items())
            with contextlib.suppress(OSError):
                self._sock.sendto(text.encode(), socket.MSG_DONTWAIT, self._address)

    def status(self, text: str) -> None:
        """Say a `STATUS=`, once per change."""
        if self._said.get("STATUS") != text:
            self._said["STATUS"] = text
            self.send(STATUS=text)

    def reloading(self) -> None:
        self.send(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)

    def store(self, name: str, fd: int) -> None:
        """Ask the manager to keep a duplicate of a descriptor, for the next start: FDSTORE=1."""
        if self._sock is not None:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
            with contextlib.suppress(OSError):
                text = f"FDSTORE=1\nFDNAME={name}".encode()
                self._sock.sendmsg([text], rights, socket.MSG_DONTWAIT, self._address)

    def unstore(self, name: str) -> None:
        self.send(FDSTOREREMOVE=1, FDNAME=name)

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()


def watchdog_interval(environ: Mapping[str, str], pid: int) -> float:
    """Seconds between `WATCHDOG=1`: half of what is allowed, sd_watchdog_enabled(3). `math.inf`: none wanted."""
    allowed, meant = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not allowed.isdecimal() or int(allowed) == 0 or (meant and meant != str(pid)):
        return math.inf
    return int(allowed) / 2e6
