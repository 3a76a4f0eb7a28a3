"""A tally: numbers that all workers of a service add to, exact also when workers are killed, reloaded or upgraded.

    from forkful.handlers import Tally

    tally = Tally("orders")                  # its files are made at its first use
    tally.own[tally.place(b"paid")] += 1     # in any worker, of any pool
    tally.refresh()
    tally.sum(tally.place(b"paid"))          # [1.0]: over all workers, those that are gone too

A key has its cells at the same place in every file. A worker adds to a file of its own, a column, which nobody else
writes, so it waits for nobody; a value is the sum over the columns. A killed worker's column stays, and the next worker
goes on with it: nothing is folded, nothing is lost. What has an order, or must be looked at before it is changed, goes
into `shared`, by who is `alone()`. Threads of one worker that write the same cell need a lock of their own.
The files lie beside those of prometheus_client, and last as long as the service.
Can go wrong: there is no directory for them (`RuntimeError`), no room for another key (`MemoryError`), or it has
another width (`ValueError`).
"""

import fcntl
import itertools
import mmap
import os
import threading
import weakref
from pathlib import Path


class Tally:
    """One of a name. In each file are `cells` numbers of 8 bytes, of which only what is written takes memory."""

    def __init__(self, name: str, *, cells: int = 1 << 20, folder: str = "") -> None:
        self._name, self._cells, self._told = name, cells, folder
        self._keys = -1  # the file of the keys, and of the lock
        self.places: dict[bytes, int] = {}  # by key, in the order in which they were made; see `refresh`
        self._widths: dict[bytes, int] = {}
        self._read = self._used = 0
        self._columns: dict[Path, memoryview[float]] = {}  # to read
        self._forked()
        forked = weakref.WeakMethod(self._forked)  # what is registered is never forgotten, and would keep the file open
        os.register_at_fork(after_in_child=lambda: (method := forked()) and method())

    def _forked(self) -> None:
        """What this process has for itself: the mold's, or a worker's that forks, is not its child's."""
        self._own: memoryview[float] | None = None
        self._shared: memoryview[float] | None = None
        self._mutex = threading.Lock()
        if self._keys >= 0:  # its lock would be one with that of who has forked
            os.close(self._keys)
        self._keys = -1

    @property
    def own(self) -> "memoryview[float]":
        """The column of this process: one whose worker is gone, with what is in it, or a new one."""
        if self._own is None:
            for number in itertools.count():
                fd = self._open(f"column-{number}")
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until this process ends, however it does
                    break
                except BlockingIOError:
                    os.close(fd)
            self._own = self._map(fd)
        return self._own

    @property
    def shared(self) -> "memoryview[float]":
        """The column of all processes: to be changed only by who is `alone()`."""
        if self._shared is None:
            self._shared = self._map(self._open("shared"))
        return self._shared

    def alone(self) -> "Tally":
        """Among all threads of all workers, for a `with`. A killed worker's lock ends with it."""
        return self  # a generator of contextlib's would take as long as the lock itself

    def __enter__(self) -> None:
        self._mutex.acquire()
        try:
            if self._keys < 0:
                self._keys = self._open("keys", os.O_APPEND)
            fcntl.flock(self._keys, fcntl.LOCK_EX)
        except BaseException:
            self._mutex.release()
            raise

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._keys, fcntl.LOCK_UN)
        self._mutex.release()

    def place(self, key: bytes, width: int = 1) -> int:
        """The first of the cells of this key, which are made, as 0, where nobody has asked for it yet."""
        if key not in self.places:
            if b"\n" in key:
                raise ValueError(f"a key is one line, not {key!r}")
            with self.alone():
                self._catch_up()
                if key not in self.places:
                    if self._used + width > self._cells:
                        raise MemoryError(f"the tally {self._name!r} has {self._cells} cells, no room for {key!r}")
                    os.write(self._keys, b"%d %s\n" % (width, key))  # where it stands is its place, too
                    self._catch_up()
        if self._widths[key] != width:  # code of another version, whose numbers are still there
            raise ValueError(f"{key!r} has {self._widths[key]} cells, not {width}: name it, or the tally, otherwise")
        return self.places[key]

    def refresh(self) -> None:
        """See what other workers have made since: their keys in `places`, their columns in `sum`."""
        with self.alone():
            self._catch_up()
        for path in self._folder().glob("column-*"):
            if path not in self._columns:
                self._columns[path] = self._map(self._open(path.name))

    def sum(self, place: int, width: int = 1) -> list[float]:
        """These cells, each added up over all workers, with what is shared."""
        columns = [column[place : place + width] for column in (self.shared, *self._columns.values())]
        return [sum(cells) for cells in zip(*columns, strict=True)]

    def _catch_up(self) -> None:
        data = os.pread(self._keys, os.fstat(self._keys).st_size - self._read, self._read)
        self._read += len(data)
        for line in data.splitlines():
            width, _, key = line.partition(b" ")
            self.places[key], self._widths[key] = self._used, int(width)
            self._used += int(width)

    def _open(self, name: str, flags: int = 0) -> int:
        return os.open(self._folder() / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)

    def _folder(self) -> Path:
        if not (told := self._told or os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")):
            raise RuntimeError(f"no directory for the tally {self._name!r}: it is for workers, or name a folder")
        folder = Path(told, f"tally-{self._name}")
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _map(self, fd: int) -> "memoryview[float]":
        if os.fstat(fd).st_size < self._cells * 8:
            os.ftruncate(fd, self._cells * 8)
        cells = memoryview(mmap.mmap(fd, self._cells * 8)).cast("d")  # it keeps the file open, and its lock with it
        os.close(fd)
        return cells
