"""The store: series of numbers by kind, in a tally that all workers share.

Counters and histograms are added up over the workers. Gauges, which have an order, and sets, whose members are told
apart over all workers, are in the tally's shared cells.
Can go wrong: too many series. Another of a known name is counted in `NAME{overflow="true"}`; a new name is refused.
"""

import functools
import itertools
import os
import time
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final, NamedTuple

from forkful.handlers import Tally

COUNTER, GAUGE, HISTOGRAM, SET = b"counter", b"gauge", b"histogram", b"set"
BOUNDS: Final = tuple(base * 10.0**power for power in range(-3, 4) for base in (1, 2.5, 5))  # 0.001 to 5,000
MEMBERS: Final = 3_000  # that a set may have in a window; the rest of its table stays empty, to be found out soon
WINDOW: Final = float(os.environ.get("MONITOR_WINDOW", "10"))  # seconds of a set
_TABLE: Final = 4_099
_WIDTHS: Final = {COUNTER: 1, GAUGE: 2, HISTOGRAM: len(BOUNDS) + 2, SET: _TABLE + 3}
_OVERFLOW: Final = b'{overflow="true"}'


class Series(NamedTuple):
    """One: its family and labels as `/metrics` shows them, and the first of its cells."""

    kind: bytes
    family: bytes
    labels: bytes
    cell: int


class Store:
    """What one process knows of the series: at most so many, and so many of one name."""

    def __init__(self, tally: Tally, most: int, most_of_one: int) -> None:
        self.tally, self.most, self._most_of_one = tally, most, most_of_one
        self._shared = tally.shared
        self.series: dict[bytes, Series] = {}
        self._kinds: dict[bytes, bytes] = {}
        self._sizes = Counter[bytes]()
        self._learn()

    def find(self, kind: bytes, family: bytes, labels: bytes) -> Series | None:
        """The series, made if it is new; None if there is no room for its name, or the name is of another kind."""
        if (found := self.series.get(family + labels)) is None:
            if len(self.series) >= self.most or self._sizes[family] >= self._most_of_one:
                labels = _OVERFLOW
            if self._kinds.get(family, kind if labels != _OVERFLOW else b"") != kind:
                return None
            if (found := self.series.get(family + labels)) is None:
                try:
                    self.tally.place(b"%s %s %s" % (kind, family, labels), _WIDTHS[kind])
                except MemoryError:
                    return None
                self._learn()
                found = self.series[family + labels]
        return found if found.kind == kind else None

    def _learn(self) -> None:
        """The series that this worker or others have made since."""
        for key in itertools.islice(self.tally.places, len(self.series), None):
            kind, family, labels = key.split(b" ", 2)
            self.series[family + labels] = Series(kind, family, labels, self.tally.places[key])
            self._kinds.setdefault(family, kind)
            self._sizes[family] += 1

    def put(self, cell: int, number: float, when: float) -> None:
        """Set a gauge as of `when`; what is older than what is there changes nothing. 0: change it by `number`."""
        with self.tally.alone():
            if not when:
                self._shared[cell] += number
            elif when >= self._shared[cell + 1]:
                self._shared[cell], self._shared[cell + 1] = number, when

    def show(self, kind: bytes, family: bytes, labels: bytes, number: float) -> None:
        """Set a number that is counted elsewhere."""
        if (series := self.find(kind, family, labels)) is not None:
            with self.tally.alone():
                self._shared[series.cell] = number

    def join(self, cell: int, member: bytes) -> bool:
        """Count a member of a set once in a window, over all workers; False if the set is full."""
        cells, window = self._shared, time.time() // WINDOW
        # 53 bits are what a cell can tell apart: of 3,000 members two are taken for one in one of 10**9 windows.
        mark = 1.0 + (int.from_bytes(blake2b(member, digest_size=7).digest()) >> 3)
        with self.tally.alone():
            if cells[cell] != window:
                cells[cell + 1] = cells[cell + 2] if cells[cell] == window - 1 else 0.0
                cells[cell + 2 : cell + _WIDTHS[SET]] = memoryview(bytes((_TABLE + 1) * 8)).cast("d")
                cells[cell] = window
            place = cell + 3 + int(mark) % _TABLE
            while cells[place] not in (0.0, mark):
                place = place + 1 if place < cell + 2 + _TABLE else cell + 3
            if not cells[place] and cells[cell + 2] < MEMBERS:
                cells[place] = mark
                cells[cell + 2] += 1
            return cells[place] == mark

    def totals(self) -> Iterator[tuple[Series, list[float]]]:
        """Every series with its cells, added up; of a set how many members the last whole window had, and this one."""
        self.tally.refresh()
        self._learn()
        for series in self.series.values():
            cell, width = series.cell, _WIDTHS[series.kind]
            if series.kind == SET:
                window, before, now = self._shared[cell : cell + 3]
                ago = time.time() // WINDOW - window
                yield series, [before, now] if ago == 0 else [now if ago == 1 else 0.0, 0.0]
            else:
                yield series, self.tally.sum(cell, 1 if series.kind == GAUGE else width)


@functools.cache
def open_store() -> Store:
    """The store of this process."""
    most, most_of_one = (int(os.environ.get(f"MONITOR_SERIES{of}", "0")) for of in ("", "_OF_ONE"))
    return Store(Tally("monitor"), most or 10_000, most_of_one or 1_000)
