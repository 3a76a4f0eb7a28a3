"""The scoreboard: shared anonymous memory where each lane writes what it does, and any process of the service may read.

One row per lane (one thread of one worker), one writer per row, 8-byte aligned unsigned fields, no locks, no files.
A worker's rows have pages of their own, and are the only ones that it can write (`confine`).
The first rows belong to the master: a header and one row of departed totals for each pool. When a worker is gone
its rows are folded into its pool's departed row, so counters are exact and never fall. A sequence number makes a
fold atomic for readers.
Behind the rows stands what each cell means, for an image of the master that comes after this one (an upgrade).
Can go wrong: more lanes than rows: `ScoreboardFullError`. Memory of another layout: `LayoutError`.
"""

import mmap
import os
from binascii import crc32
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from forkful.worker.ipc import memory

CELLS = 256  # fields per row
MAX_LISTENERS = 16  # per pool; more is a mistake in the settings
MAX_POOLS = 256
ROWS = 65_536  # lanes at one time; the memory is sparse, unused rows cost nothing

# Header of a row, written by the master before the worker exists; PID by the worker, in its first row.
POOL, SLOT, GENERATION, LANE, PID = range(5)
# Written by the lane alone. Times are monotonic nanoseconds, 0 is "not now".
SINCE, STARTED, ERROR, RESET, REFUSED, TIMEOUT, BUSY, RECEIVED, SENT, ACTIVE, HEARTBEAT = range(5, 16)
ACCEPTED = 16  # MAX_LISTENERS cells: connections or datagrams taken from each of the pool's listeners
BUCKETS = ACCEPTED + MAX_LISTENERS  # a cell per bound, and one for what is above
ARRIVING = 50  # connections between accept(2) and their handler: in a step of the listener, or in a `get_request`
REFUSALS = 51  # for each listener `REASONS` cells: what was refused before the handler, by reason (`net.steps`)
REASONS = 8
HELD = CELLS - 14  # of a worker's first row: connections whose handler has returned and that somebody still holds
HELD_SINCE = CELLS - 13  # since when the oldest of them; 0: there is none
QUEUE_BUCKETS = REFUSALS + MAX_LISTENERS * REASONS  # by how long they had waited to be taken, of one in many
QUEUE_WAITED = QUEUE_BUCKETS + 12  # ns, the sum of these
HANDSHAKES = 200  # five cells: TLS handshakes by how they ended (`net.tls_outcome`)
RESPONSES = CELLS - 10  # five cells: HTTP answers by class, 1xx to 5xx
ACCEPTING = CELLS - 2  # of an event loop's first row: 1 while it takes new connections (`aio_accept`)
LOOP_BUSY = CELLS - 11  # ns that an event loop had work to do, where the requests of its row overlap
OVERLAPPED = CELLS - 12  # ns, the durations of such requests, which say nothing of how busy the loop is
OVERLAPS = CELLS - 5  # 1: requests of this row go on at the same time; their time is in OVERLAPPED and not in BUSY
UNTIMED = CELLS - 15  # 1: `timeout` is about this event loop being blocked, and not about its requests
ASIDE = CELLS - 4  # 1: of a thread beside an event loop, whose connections are all counted in the first row
ONLY = CELLS - 3  # of a lane that takes from one listener: its cell behind ACCEPTED, plus one. STARTED counts for it
SEAT = CELLS - 16  # of a worker's first row: the number by which it is known in the table of peers (`peer_table`)
UNCOUNTED = CELLS - 17  # of a worker's first row: who was let in although that table had no room to count them
LOST = CELLS - 1  # in departed rows only: requests that were in flight when their worker died

#: Upper bounds of the request duration histogram, seconds, as Prometheus' clients have them, and finer below.
BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: Of the time in the kernel's queue, which it tells in milliseconds.
QUEUE_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
QUEUE_BOUNDS_NS = tuple(int(bound * 1e9) for bound in QUEUE_BOUNDS)
BOUNDS_NS = tuple(int(bound * 1e9) for bound in BOUNDS)
COUNTERS = (
    *(STARTED, ERROR, RESET, REFUSED, TIMEOUT, BUSY, RECEIVED, SENT),
    *range(ACCEPTED, BUCKETS + len(BOUNDS) + 1),
    *range(REFUSALS, REFUSALS + MAX_LISTENERS * REASONS),
    *range(RESPONSES, RESPONSES + 5),
    *range(HANDSHAKES, HANDSHAKES + 5),
    *(LOOP_BUSY, OVERLAPPED, UNCOUNTED),
    *range(QUEUE_BUCKETS, QUEUE_WAITED + 1),
)

_PAGE = max(1, mmap.PAGESIZE // (CELLS * 8))  # rows; what can be given to a worker for writing
# Row 0: the header of the whole board.
_SEQUENCE, _HIGH, _MAGIC = 0, 1, 2
_FORKFUL = int.from_bytes(b"forkful\1", "little")  # its last byte is the version of the header
_FIRST_LANE = 1 + MAX_POOLS
_TRIES = 1_000  # of a reader; a fold takes less than a millisecond
_PLAUSIBLE = 2**60  # 36 years in nanoseconds, an exabyte
_CONNECTIONS = 2**31  # at one time, of one lane
_MOST = 2**64 - 1  # what a cell holds
_SIZE = (ROWS + 1) * CELLS * 8  # the last row is the legend: what each cell means, as a number

#: The cells of a row by their meaning. Workers go on writing after an upgrade, so no cell may ever get another one.
MEANINGS: dict[str, int] = {
    "pool": POOL,
    "slot": SLOT,
    "generation": GENERATION,
    "lane": LANE,
    "pid": PID,
    "since": SINCE,
    "started": STARTED,
    "error": ERROR,
    "reset": RESET,
    "refused": REFUSED,
    "timeout": TIMEOUT,
    "busy": BUSY,
    "received": RECEIVED,
    "sent": SENT,
    "active": ACTIVE,
    "heartbeat": HEARTBEAT,
    "accepting": ACCEPTING,
    "overlaps": OVERLAPS,
    "untimed": UNTIMED,
    "aside": ASIDE,
    "only": ONLY,
    "lost": LOST,
    "arriving": ARRIVING,
    "held": HELD,
    "held since": HELD_SINCE,
    "loop busy": LOOP_BUSY,
    "overlapped": OVERLAPPED,
    "seat": SEAT,
    "uncounted": UNCOUNTED,
    "queue waited": QUEUE_WAITED,
    **{f"waited up to {bound} s": QUEUE_BUCKETS + n for n, bound in enumerate((*QUEUE_BOUNDS, "more"))},
    **{f"TLS handshakes {number}": HANDSHAKES + number for number in range(5)},
    **{f"responses {number + 1}xx": RESPONSES + number for number in range(5)},
    **{f"accepted {number}": ACCEPTED + number for number in range(MAX_LISTENERS)},
    **{f"up to {bound} s": BUCKETS + number for number, bound in enumerate((*BOUNDS, "more"))},
    **{
        f"refused {number // REASONS} {number % REASONS}": REFUSALS + number
        for number in range(MAX_LISTENERS * REASONS)
    },
}
#: All that two versions have to agree on to share the memory; one may have more meanings than the other.
LAYOUT = {"rows": ROWS, "cells in a row": CELLS, "first lane": _FIRST_LANE, "header": _FORKFUL, **MEANINGS}
_LEGEND = {cell: crc32(meaning.encode()) for meaning, cell in MEANINGS.items()}


class LayoutError(RuntimeError):
    """This memory is no scoreboard of ours, or one whose cells mean something else."""


class ScoreboardFullError(RuntimeError):
    """More lanes at one time than the board has rows."""


def bucket(duration_ns: int) -> int:
    """The cell of the histogram that counts a request of this length."""
    return BUCKETS + bisect_left(BOUNDS_NS, duration_ns)


@dataclass(frozen=True, slots=True)
class Totals:
    """What a pool has done, summed over the departed and the living: `cells` are laid out as a row's."""

    cells: tuple[int, ...]
    in_flight: int
    oldest_since: int  # monotonic ns; 0: nothing in flight
    lanes: int
    connections: int
    lanes_busy: int  # lanes that serve somebody now; an event loop has room for more, however many it serves
    busy_since: int  # monotonic ns, the sum of when each of these began


class Scoreboard:
    """The memory itself. Made by the master before its first fork; children inherit the mapping."""

    def __init__(self, fd: int | None = None) -> None:
        self.fd = os.memfd_create("forkful-scoreboard", os.MFD_CLOEXEC) if fd is None else fd
        os.fchmod(self.fd, 0o600)  # else who has it for reading may open it anew for writing, by /proc
        self._readable = os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)
        if fd is None:
            os.ftruncate(self.fd, _SIZE)
        elif os.fstat(fd).st_size != _SIZE:
            raise LayoutError(f"the scoreboard has {os.fstat(fd).st_size} bytes, and this version's {_SIZE}")
        self._map = mmap.mmap(self.fd, _SIZE)
        self._cells = memoryview(self._map).cast("Q")
        if fd is None:
            self._cells[_HIGH] = _FIRST_LANE
            self._cells[_MAGIC] = _FORKFUL
        self._compare()
        self.implausible = 0  # rows of the departed that said what cannot be
        self._taken = bytearray(ROWS)
        self._claims: dict[int, int] = {}  # pools, by a worker's first row
        self._departed: dict[int, list[int]] = {}  # totals, by pool
        self._high = _FIRST_LANE
        self._sequence = 0 if fd is None else (self._cells[_SEQUENCE] + 1) % 2**62 // 2 * 2

    def _compare(self) -> None:
        """See that each cell has the meaning that it had for who made this, and write down what is new with us."""
        if self._cells[_MAGIC] != _FORKFUL:
            raise LayoutError("this memory is no scoreboard")
        legend = self.row(ROWS)
        for number, meaning in _LEGEND.items():
            if legend[number] not in (0, meaning):
                raise LayoutError(f"cell {number} of the scoreboard means something else in this version")
            legend[number] = meaning

    def row(self, number: int) -> "memoryview[int]":
        """One row, writable. A lane keeps the view it gets here and writes to it with `view[FIELD] += n`."""
        return self._cells[number * CELLS : (number + 1) * CELLS]

    def seats(self, pool: int) -> "list[memoryview[int]]":
        """The first row of each worker of a pool; for balancing what event loops accept (`accept_balance`)."""
        high = min(self._cells[_HIGH], ROWS)
        numbers = range(_FIRST_LANE, high)
        owners = self._cells[_FIRST_LANE * CELLS + POOL : high * CELLS : CELLS].tolist()
        rows = (self.row(number) for number, owner in zip(numbers, owners, strict=True) if owner == pool + 1)
        return [row for row in rows if not row[LANE]]

    def pids(self) -> list[int]:
        """The processes that hold rows, as far as they have said so."""
        return [
            pid for pid in self._cells[_FIRST_LANE * CELLS + PID : min(self._cells[_HIGH], ROWS) * CELLS : CELLS] if pid
        ]

    def confine(self, first: int, lanes: int) -> None:
        """In a worker: it can write its own rows, and only read the others, whatever its handler tries.

        A mapping of a descriptor for reading cannot be made writable, mprotect(2); the others are closed.
        """
        own = slice(first // _PAGE * _PAGE * CELLS * 8, -(-(first + lanes) // _PAGE) * _PAGE * CELLS * 8)
        memory.map_anew(self._map, mmap.PROT_READ, mmap.MAP_SHARED, self._readable, slice(0, _SIZE))
        memory.map_anew(self._map, memory.WRITABLE, mmap.MAP_SHARED, self.fd, own)
        memory.close_all_but(self.fd, {self._readable})
        self.fd = self._readable

    def close(self) -> None:
        """Let go of it in a child of a worker: what is written to its rows from now on goes nowhere."""
        memory.let_go(self.fd, self._map)

    # -- the master's side -------------------------------------------------------------------------------------------

    # What the master has to rely on it keeps to itself, for workers can write anywhere here: which rows are taken, by
    # which pool, the totals of the departed, the sequence.

    def allocate(self, lanes: int, *, pool: int, slot: int, generation: int) -> int:
        """Find `lanes` free rows in a line, claim them for a worker and return the first."""
        first = self._free(-(-lanes // _PAGE) * _PAGE)
        if first < 0:
            raise ScoreboardFullError(f"no {lanes} rows in a line are free on the scoreboard ({ROWS} rows in all)")
        self.claim(first, lanes, pool)
        for lane in range(lanes):
            row = self.row(first + lane)
            row[:] = _EMPTY
            row[SLOT], row[GENERATION], row[LANE], row[POOL] = slot, generation, lane, pool + 1
        return first

    def _free(self, rows: int) -> int:
        """The first of so many free rows in a line, at the start of a page; below 0: there are none."""
        first = _FIRST_LANE
        while (first := self._taken.find(bytes(rows), first)) >= 0 and first % _PAGE:
            first += _PAGE - first % _PAGE
        return first

    def claim(self, first: int, lanes: int, pool: int) -> None:
        """Note that these rows are a worker's; after an upgrade for those that the last image made."""
        self._taken[first : first + lanes] = b"\1" * lanes
        self._claims[first] = pool
        if pool not in self._departed:
            self._departed[pool] = self.row(pool + 1).tolist()
        self._high = self._cells[_HIGH] = max(self._high, first + lanes)

    def fold(self, first: int, lanes: int) -> int:
        """Add a dead worker's rows to its pool's departed totals, free them, and return the requests it took along.

        A row that says what cannot be is not counted, but in `implausible`.
        """
        lost = 0
        pool = self._claims.pop(first)
        departed = self._departed[pool]
        self._sequence += 2
        self._cells[_SEQUENCE] = self._sequence - 1  # odd: readers wait
        for number in range(first, first + lanes):
            row = self.row(number).tolist()
            if _is_plausible(row):
                in_flight = _in_flight(row)
                for cell in COUNTERS:
                    departed[cell] = min(departed[cell] + row[cell], _MOST)
                if row[ONLY]:
                    departed[ACCEPTED + row[ONLY] - 1] += row[STARTED]
                departed[LOST] += in_flight
                lost += in_flight
            else:
                self.implausible += 1
            self.row(number)[:] = _EMPTY
        for cell in (*COUNTERS, LOST):
            self._cells[(pool + 1) * CELLS + cell] = min(departed[cell], _MOST)
        self._taken[first : first + lanes] = bytes(lanes)
        self._cells[_SEQUENCE] = self._sequence
        return lost

    # -- the readers' side -------------------------------------------------------------------------------------------

    def snapshot(self, pools: Iterable[int], relax: Callable[[], None] = os.sched_yield) -> dict[int, Totals]:
        """Sum what each pool has done, consistent against folds. Pools by number."""
        wanted = tuple(pools)
        for _ in range(_TRIES):
            before = self._cells[_SEQUENCE]
            if before % 2 == 0:
                totals = self._sum(wanted)
                if self._cells[_SEQUENCE] == before:
                    return totals
            relax()
        return self._sum(wanted)  # it does not settle: somebody has written what only the master should

    def worker(self, first: int, lanes: int) -> Totals:
        """Sum what the living worker that holds these rows has done; for display, not consistent against folds."""
        return _totals([0] * CELLS, [self.row(number).tolist() for number in range(first, first + lanes)])

    def _sum(self, pools: tuple[int, ...]) -> dict[int, Totals]:
        living: dict[int, list[list[int]]] = {pool: [] for pool in pools}
        high = min(self._cells[_HIGH], ROWS)
        owners = self._cells[_FIRST_LANE * CELLS + POOL : high * CELLS : CELLS].tolist()
        for number, owner in enumerate(owners, _FIRST_LANE):
            if owner - 1 in living:
                living[owner - 1].append(self.row(number).tolist())
        return {pool: _totals(self.row(pool + 1).tolist(), rows) for pool, rows in living.items()}


def _is_plausible(row: list[int]) -> bool:
    """Whether a lane that is ours may have counted so."""
    begun = row[STARTED] - sum(row[BUCKETS : BUCKETS + len(BOUNDS) + 1])
    return (
        begun >= 0
        and row[ONLY] <= MAX_LISTENERS
        and all(row[cell] <= _PLAUSIBLE for cell in COUNTERS)
        and _in_flight(row) < _CONNECTIONS
    )


def _in_flight(row: list[int]) -> int:
    return row[STARTED] - sum(row[BUCKETS : BUCKETS + len(BOUNDS) + 1]) + row[ARRIVING] + row[HELD]


def _totals(departed: list[int], rows: list[list[int]]) -> Totals:
    columns = list(map(sum, zip(*rows, strict=True))) if rows else [0] * CELLS
    cells = list(departed)
    for cell in COUNTERS:
        cells[cell] += columns[cell]
    for row in rows:
        if 0 < row[ONLY] <= MAX_LISTENERS:
            cells[ACCEPTED + row[ONLY] - 1] += row[STARTED]
    since = [row[cell] for row in rows for cell in (SINCE, HELD_SINCE) if row[cell]]
    serving = [row[SINCE] for row in rows if row[SINCE] and not row[OVERLAPS]]
    begun = columns[STARTED] - sum(columns[BUCKETS : BUCKETS + len(BOUNDS) + 1])
    return Totals(
        cells=tuple(cells),
        # A lane may finish while its row is copied: never below zero.
        in_flight=max(0, begun) + columns[ARRIVING] + columns[HELD],
        oldest_since=min(since, default=0),
        lanes=len(rows),
        connections=sum((row[ACTIVE] or bool(row[SINCE])) + row[HELD] for row in rows if not row[ASIDE]),
        lanes_busy=len(serving),
        busy_since=sum(serving),
    )


_EMPTY = memoryview(bytes(CELLS * 8)).cast("Q")
