"""The service manager's end of `NOTIFY_SOCKET`: a real datagram socket that remembers what it was told (sd_notify(3)).

Can go wrong: the record does not come, or the server ends first: `TooLateError`.
"""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests.kit.wait import PATIENCE, TooLateError, readable

Record = dict[str, str]


class Notifications:
    """Records in the order they came. Each wait goes on behind the record where the last one ended.

    With `keeps` it has a descriptor store: what comes with FDSTORE=1 is kept by its name, until it is to be removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[Record] = []
        self.keeps = False
        self.store: dict[str, int] = {}
        self._next = 0
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))
        self._sock.setblocking(False)

    def wait(self, wanted: Callable[[Record], bool], *, what: str, pidfd: int, within: float = PATIENCE) -> Record:
        """Return the next record that is wanted; the server's end (`pidfd`) ends the wait."""
        deadline = time.monotonic() + within
        while True:
            self.collect()
            while self._next < len(self.seen):
                record = self.seen[self._next]
                self._next += 1
                if wanted(record):
                    return record
            events = readable(self._sock.fileno(), pidfd, within=deadline - time.monotonic())
            if self._sock.fileno() in events:
                continue
            raise TooLateError(
                f"{'the server ended' if events else f'{within:g} s passed'} before {what}; seen: {self.seen}"
            )

    def listen(self, pidfd: int, *, within: float) -> None:
        """Take what comes until the server ends: it may wait for us to have read what it said."""
        deadline = time.monotonic() + within
        while (left := deadline - time.monotonic()) > 0 and pidfd not in readable(
            self._sock.fileno(), pidfd, within=left
        ):
            self.collect()

    def collect(self) -> list[Record]:
        """Take what is here now, and return all there ever was."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._sock, 65_536, 16)
            except BlockingIOError:
                return self.seen
            pairs = (line.partition("=") for line in data.decode().splitlines())
            self.seen.append({key: value for key, _, value in pairs})
            self._keep(self.seen[-1], fds)

    def _keep(self, record: Record, fds: list[int]) -> None:
        name = record.get("FDNAME", "")
        if self.keeps and "FDSTORE" in record:
            self.store.setdefault(name, fds.pop())
        elif "FDSTOREREMOVE" in record and name in self.store:
            fds.append(self.store.pop(name))
        for fd in fds:
            os.close(fd)

    def skip(self) -> None:
        """What was told until now has been seen."""
        self._next = len(self.collect())

    def close(self) -> None:
        self._sock.close()
        for fd in self.store.values():
            os.close(fd)
        self.store.clear()
        self.path.unlink(missing_ok=True)
