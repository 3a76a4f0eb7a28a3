"""Flows: peers of a datagram server, each of which numbers what it sends and keeps a ledger of what comes back.

For the servers of `tests/apps/flows.py`, whose answers say by which socket a datagram came, and how many of this peer
they have counted. Each peer has a few datagrams under way, so that one that overtakes another is seen.
Can go wrong: what the test did not allow: an `AssertionError` of the one who reads the ledger.
"""

import selectors
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Self

from tests.kit.door import Door
from tests.kit.wait import PATIENCE, TooLateError

_PACE = 0.1  # seconds between two datagrams of a peer
_STUCK = 5.0  # seconds after which a peer whose datagrams are all lost sends another
_SETTLED = 3.0  # seconds without an answer after which nothing more comes


@dataclass(eq=False, slots=True)
class Flow:
    """One peer, and what it knows."""

    sock: socket.socket
    port: int
    due: float
    sent: int = 0
    answered: int = 0  # the number of the latest answer
    seen: int = 0  # how many the server had counted by then
    under_way: deque[int] = field(default_factory=deque)
    sockets: set[int] = field(default_factory=set)  # the inodes of those by which it was served
    servers: list[int] = field(default_factory=list)  # process ids, one after the other
    lost: list[int] = field(default_factory=list)
    overtaken: list[int] = field(default_factory=list)
    forgotten: int = 0  # how often the server knew less of it than it should

    def send(self, now: float) -> None:
        self.sent += 1
        self.under_way.append(self.sent)
        self.due = now + _PACE
        self.sock.send(b"%d" % self.sent)

    def receive(self) -> None:
        number, inode, pid, seen = map(int, self.sock.recv(200).split())
        self.sockets.add(inode)
        if self.servers[-1:] != [pid]:
            self.servers.append(pid)
        if number <= self.answered:
            self.overtaken.append(number)
            return
        while self.under_way and self.under_way[0] < number:
            self.lost.append(self.under_way.popleft())
        self.under_way.popleft()
        self.forgotten += seen <= self.seen
        self.answered, self.seen = number, seen


class Ledger:
    """So many peers, from entering it to `stop`."""

    def __init__(self, door: Door, peers: int, *, window: int = 3) -> None:
        self._window = window
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._answers = 0
        began = time.monotonic()
        socks = [door.connect() for _ in range(peers)]
        self.flows = [Flow(x, x.getsockname()[1], began + _PACE * n / peers) for n, x in enumerate(socks)]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for flow in self.flows:
            flow.sock.close()

    def stop(self) -> None:
        """Send no more, and take the answers that still come: what has none then is lost."""
        self._stop.set()
        self._thread.join()
        for flow in self.flows:
            flow.lost += flow.under_way
            flow.under_way.clear()

    def more(self, count: int, *, within: float = PATIENCE) -> None:
        """Wait for so many more answers."""
        with self._changed:
            wanted = self._answers + count
            if not self._changed.wait_for(lambda: self._answers >= wanted, within):
                raise TooLateError(f"{wanted - self._answers} of {count} answers are missing after {within:g} s")

    def servers(self) -> list[int]:
        """The process ids of those who serve now, each with one of the peers at least."""
        return sorted({flow.servers[-1] for flow in self.flows if flow.servers})

    def leave(self, pid: int, *, within: float = 2 * PATIENCE) -> None:
        """Wait until nobody is served by this process any more."""
        with self._changed:
            if not self._changed.wait_for(lambda: pid not in self.servers(), within):
                raise TooLateError(f"after {within:g} s some peers had no answer but from {pid}")

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for flow in self.flows:
                flow.sock.setblocking(False)
                selector.register(flow.sock, selectors.EVENT_READ, flow)
            heard = time.monotonic()
            while not self._stop.is_set() or (
                any(f.under_way for f in self.flows) and time.monotonic() - heard < _SETTLED
            ):
                ready = selector.select(_PACE / 10)
                for key, _ in ready:
                    key.data.receive()
                now = time.monotonic()
                heard = now if ready else heard
                with self._changed:
                    self._answers += len(ready)
                    self._changed.notify_all()
                for flow in self.flows if not self._stop.is_set() else ():
                    is_free = len(flow.under_way) < self._window or now > flow.due + _STUCK
                    if flow.due <= now and is_free:
                        flow.send(now)

    @property
    def _waits(self) -> bool:
        return any(flow.under_way for flow in self.flows)

    # -- what is in it -----------------------------------------------------------------------------------------------

    @property
    def moved(self) -> list[Flow]:
        """Peers that were served by more than one socket."""
        return [flow for flow in self.flows if len(flow.sockets) != 1]

    @property
    def lost(self) -> int:
        return sum(len(flow.lost) for flow in self.flows)

    @property
    def overtaken(self) -> int:
        return sum(len(flow.overtaken) for flow in self.flows)

    @property
    def answered(self) -> int:
        return self._answers

    def forgotten(self) -> dict[int, int]:
        """By socket, how many times a server knew less of a peer than the one before had."""
        found: dict[int, int] = {}
        for flow in self.flows:
            if flow.forgotten:
                (inode, *_) = flow.sockets
                found[inode] = max(found.get(inode, 0), flow.forgotten)
        return found
