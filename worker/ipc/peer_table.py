"""The table of peers: shared memory where the workers of a pool count by address who is connected, and who comes often.

It has a fixed size: sets of a few entries each, and an address belongs to one set, by a hash with a secret, so that
nobody can choose addresses that crowd out another one. An entry with a connection, or with a rate that is not forgotten
yet, is never given away: a spray of addresses cannot push anybody out. Where a set is full of such, who comes is let in
and not counted (`Outcome.UNCOUNTED`).
Each worker has counts of its own within an entry, marked with its row on the scoreboard and a number that it wrote
there; when it is gone the master empties that row, and its counts mean nothing any more. So a worker that is killed
leaves nothing behind, and the master never reads this memory nor writes to it.
A set is changed under a record lock, fcntl(2), which the kernel releases when its holder dies.
Can go wrong: somebody holds a lock for long (he is stopped, or hostile): for a second nobody is counted.
"""

import fcntl
import hashlib
import mmap
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from forkful.worker.ipc.memory import let_go
from forkful.worker.ipc.scoreboard import SEAT, UNCOUNTED, Scoreboard

SETS: Final = 2048
WAYS: Final = 16  # entries in a set
HOLDERS: Final = 12  # workers that an entry has room for; an address with connections in more has several entries

# A set, in cells of 8 bytes: the keys in a row, so that one search finds them, the time stamps, the counts.
_RATES: Final = 2 * WAYS
_TOLD: Final = _RATES + WAYS  # when this address was last refused for its number of connections
_COUNTS: Final = _TOLD + WAYS
_SET: Final = _COUNTS + WAYS * HOLDERS
_HEAD: Final = 512  # cells before the first set: the layout, the secret
_SECRET: Final = 8, 40  # bytes
SIZE: Final = (_HEAD + SETS * _SET) * 8
#: What two versions have to agree on to share such memory.
LAYOUT: Final = f"1: {SETS} sets of {WAYS} by {HOLDERS}"

# A count, with whose it is: a number of 30 bits, a row of 16, and the count itself.
_BITS: Final = 18
MOST: Final = (1 << _BITS) - 1  # that one worker can count for an address
_ROW_BITS: Final = 16
_NONCE_BITS: Final = 64 - _BITS - _ROW_BITS

_SECOND: Final = 1_000_000_000
_PAUSES: Final = (0.0, 0.0, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.004)  # seconds between tries to lock a set


class Outcome(Enum):
    """What the table says to one who comes."""

    ENTERED = auto()
    UNCOUNTED = auto()  # there is no room for the address
    CROWDED = auto()
    LEAVING = auto()  # the same, but nobody of this address was refused lately: one of them may just be leaving
    RATE = auto()


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one address: connections at a time, and arrivals a second; 0: any number."""

    most: int
    rate: int


@dataclass(slots=True)
class PeerMemory:
    """The memory, as the master holds it: a descriptor, and how it is laid out."""

    fd: int
    layout: str = LAYOUT

    def fileno(self) -> int:
        return self.fd

    def close(self) -> None:
        os.close(self.fd)


def make() -> PeerMemory:
    """New and empty. Its size can never be changed, so that nobody can take it away from who reads it."""
    fd = os.memfd_create("forkful-peers", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, SIZE)
    os.pwrite(fd, os.urandom(_SECRET[1] - _SECRET[0]), _SECRET[0])
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return PeerMemory(fd)


class PeerTable:
    """The table, as one worker uses it: any of its threads may. `row` is its first on the scoreboard."""

    def __init__(self, fd: int, board: Scoreboard, row: int) -> None:
        self.fd = fd
        self.row = row
        self._map = mmap.mmap(fd, SIZE)
        self._cells = memoryview(self._map).cast("Q")
        self._secret = self._map[slice(*_SECRET)]
        self._board = board
        self._own = board.row(row)
        nonce = int.from_bytes(os.urandom(4)) >> (32 - _NONCE_BITS) or 1
        self._own[SEAT] = nonce
        self._mark = (nonce << _ROW_BITS | row) << _BITS
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._left: deque[int] = deque()  # cells of connections that are closed
        self._shy_until = 0  # nobody is counted until then (monotonic ns): a lock is held
        self.uncounted = 0

    def enter(self, key: bytes, limits: Limits, *, last: bool = True) -> tuple[Outcome, int]:
        """Count one who comes, if the limits let it in. The number says which count `leave` lowers; 0: none.

        `last`: it is not asked again if the answer is no.
        """
        now = time.monotonic_ns()
        number = self.set_of(key)
        with self._lock:
            self._lower_all()
            if now >= self._shy_until and self._hold(number):
                try:
                    told = self._enter(_HEAD + number * _SET, key, limits, now, last=last)
                finally:
                    fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, number)
            else:
                told = Outcome.UNCOUNTED, 0
            if told[0] is Outcome.UNCOUNTED:
                self.uncounted += 1
                self._own[UNCOUNTED] = self.uncounted
        self._settle()
        return told

    def set_of(self, key: bytes) -> int:
        """The number of the set that this address belongs to."""
        return int.from_bytes(hashlib.blake2b(key, digest_size=4, key=self._secret).digest()) % SETS

    def try_again(self) -> None:
        """Whatever lock was held is not any more."""
        self._shy_until = 0

    def leave(self, cell: int) -> None:
        """A connection that was counted is closed. From any thread, and from a finalizer in the midst of anything."""
        if cell and self._pid == os.getpid():  # else its copy in a child is
            self._left.append(cell)
            self._settle()

    def close(self) -> None:
        """Let go of it in a child of a worker."""
        let_go(self.fd, self._map)

    def _settle(self) -> None:
        """Lower the counts of those that are closed. Whoever has the lock does it for all, so nobody waits here."""
        while self._left and self._lock.acquire(blocking=False):
            try:
                self._lower_all()
            finally:
                self._lock.release()

    def _lower_all(self) -> None:
        """Without the lock of their sets: while it is not 0, nobody else writes to a count of ours."""
        while self._left:
            cell = self._left.popleft()
            count = self._cells[cell] - self._mark
            if 0 < count <= MOST:  # else somebody has written what he should not
                self._cells[cell] = self._mark | (count - 1) if count > 1 else 0

    def _hold(self, number: int) -> bool:
        """Lock a set against the other workers. Never for long: their trouble must not be ours."""
        for pause in _PAUSES:
            try:
                fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except OSError:
                time.sleep(pause)
            else:
                return True
        self._shy_until = time.monotonic_ns() + _SECOND
        return False

    # -- within a set that is locked ---------------------------------------------------------------------------------

    def _enter(self, base: int, key: bytes, limits: Limits, now: int, *, last: bool) -> tuple[Outcome, int]:
        cells, ways = self._cells, self._ways(base, key)
        if limits.most and sum(self._count(base, way) for way in ways) >= limits.most:
            return self._crowded(base + _TOLD + ways[0], now, last=last), 0
        stamp = 0
        if limits.rate:
            stamp = _next(max((cells[base + _RATES + way] for way in ways), default=0), limits.rate, now)
            if not stamp:
                return Outcome.RATE, 0
        way = ways[0] if ways else self._take(base, key, now)
        if way < 0:
            return Outcome.UNCOUNTED, 0
        if stamp:
            cells[base + _RATES + way] = stamp
        return self._counted(base, ways or [way], key, now) if limits.most else (Outcome.ENTERED, 0)

    def _crowded(self, told: int, now: int, *, last: bool) -> Outcome:
        """No more of this address; `told` is the cell of when it was last told so."""
        if last:
            self._cells[told] = now
        return Outcome.CROWDED if last or 0 <= now - self._cells[told] < _SECOND else Outcome.LEAVING

    def _counted(self, base: int, ways: list[int], key: bytes, now: int) -> tuple[Outcome, int]:
        """One more of ours in one of these entries, or in another one of the same address."""
        cells, cell = self._cells, self._cell(base, ways)
        if cell < 0 and (way := self._take(base, key, now)) >= 0:
            cell = self._cell(base, [way])
        if cell < 0 or cells[cell] & MOST == MOST:
            return Outcome.UNCOUNTED, 0
        cells[cell] = self._mark | (cells[cell] & MOST) + 1
        return Outcome.ENTERED, cell

    def _ways(self, base: int, key: bytes) -> list[int]:
        """The entries of this address."""
        found, start = list[int](), base * 8
        end = start + WAYS * len(key)
        at = self._map.find(key, start, end)
        while at >= 0:
            if (at - start) % len(key) == 0:
                found.append((at - start) // len(key))
            at = self._map.find(key, at + 1, end)
        return found

    def _count(self, base: int, way: int) -> int:
        """The connections of an entry. Counts of workers that are gone are cleared."""
        first, total = base + _COUNTS + way * HOLDERS, 0
        for cell, held in enumerate(self._cells[first : first + HOLDERS].tolist(), first):
            if held and self._is_alive(held):
                total += held & MOST
            elif held:
                self._cells[cell] = 0
        return total

    def _is_alive(self, held: int) -> bool:
        row = held >> _BITS & (1 << _ROW_BITS) - 1
        return self._board.row(row)[SEAT] == held >> (_BITS + _ROW_BITS)

    def _cell(self, base: int, ways: list[int]) -> int:
        """Where this worker counts in these entries; -1: there is no room for another worker."""
        free = -1
        for way in ways:
            first = base + _COUNTS + way * HOLDERS
            for cell, held in enumerate(self._cells[first : first + HOLDERS].tolist(), first):
                if held and held >> _BITS == self._mark >> _BITS:
                    return cell
                if free < 0 and not (held and self._is_alive(held)):
                    free = cell
        if free >= 0:
            self._cells[free] = 0
        return free

    def _take(self, base: int, key: bytes, now: int) -> int:
        """Give the address an entry that says nothing of anybody any more; -1: there is none."""
        for way in range(WAYS):
            if not _is_fresh(self._cells[base + _RATES + way], now) and not self._count(base, way):
                self._cells[base + _RATES + way] = self._cells[base + _TOLD + way] = 0
                start = base * 8 + way * len(key)
                self._map[start : start + len(key)] = key
                return way
        return -1


def _is_fresh(stamp: int, now: int) -> bool:
    return now < stamp <= now + 2 * _SECOND


def _next(stamp: int, rate: int, now: int) -> int:
    """The time stamp after one more; 0: it is too early. `rate` in a second, as many at once (GCRA).

    The stamp is when the address will have made up for all that it has sent: one that it has made up for says nothing.
    """
    interval = _SECOND // rate
    due = stamp if _is_fresh(stamp, now) else now
    return 0 if due - now > _SECOND - interval else due + interval
