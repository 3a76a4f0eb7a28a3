"""Telling the service manager how we are: sd_notify(3).

Can go wrong: the manager's socket is gone or full; a notification is then dropped, it never hurts the service.
"""

import contextlib
import os
import socket
import time


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

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
