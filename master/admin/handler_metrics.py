"""The handlers' own prometheus_client metrics: the files of the living merged, those of the dead folded together.

prometheus_client's multiprocess mode keeps files for each process id in `PROMETHEUS_MULTIPROC_DIR`, and they stay
for ever, because a counter must not fall when its process is gone. Here the files of dead processes are added up in
one directory `departed-N`, so that neither the files nor the scrape time grow with recycling:

- counters, histograms and summaries are summed; gauges of the modes sum, min, max and mostrecent keep their meaning;
- gauges of the live modes go with their process, and so do those of mode `all`: its label is the process id, and a
  series for each worker that ever was is what we are here to prevent.

`departed-N` is replaced by `departed-N+1` in one rename, and names the files that are in it, so a crash at any moment
neither loses nor counts twice: what was already folded is deleted at the next start. Only the admin child comes here.
Can go wrong: a file that is no metric file (a handler's doing) is left out and logged, and dropped with its process.
"""

import logging
import os
import re
import shutil
import struct
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Metric

log = logging.getLogger("forkful.admin")

_NAME = re.compile(r"(?P<kind>counter|histogram|summary|gauge_[a-z]+)_(?P<pid>[0-9]{1,9})\.db")
_DEPARTED = re.compile(r"departed-(?P<serial>[0-9]+)")
_FOLDED = "folded"  # in `departed-N`: which files are in it, a name and an inode to a line
# What reading a file may raise when it is not what prometheus_client writes, or is being created at this moment.
_GOSSIP = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, struct.error)

Value = tuple[float, float]  # the value, and when it was set (only where that matters)
Table = dict[str, Value]


def _add(one: Value, other: Value) -> Value:
    return one[0] + other[0], max(one[1], other[1])


_BY_PROCESS = frozenset({"gauge_all", "gauge_liveall"})  # modes whose label is the process id

_FOLDS: dict[str, Callable[[Value, Value], Value]] = {
    "counter": _add,
    "histogram": _add,
    "summary": _add,
    "gauge_sum": _add,
    "gauge_min": min,
    "gauge_max": max,
    "gauge_mostrecent": lambda one, other: max(one, other, key=lambda value: value[1]),
}


class HandlerMetrics:
    """The directory. Folding and collecting exclude each other, so no scrape sees a file twice or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._serial = 0
        self._blamed: set[Path] = set()
        self._recover()

    def collect(self, molds: Collection[int] = ()) -> "list[Metric]":
        """Merge what the living and the departed have counted.

        A gauge that has a row for each process has none for `molds`: they imported the handler and serve nobody.
        """
        with self._lock:
            own = [file for file in self._files() if _kind_of(file) not in _BY_PROCESS or _pid_of(file) not in molds]
            files = [*self._departed(), *own]
            try:
                return _merge(files)
            except _GOSSIP:
                return _merge([file for file in files if self._is_sound(file)])

    def fold(self) -> int:
        """Add the files of dead processes to the departed ones, delete them, and return how many there were."""
        with self._lock:
            dead = [file for file in self._files() if not _is_alive(_pid_of(file))]
            if dead:
                self._replace(self._tables([*self._departed(), *dead]), dead)
            return len(dead)

    def _tables(self, files: Iterable[Path]) -> dict[str, Table]:
        tables: dict[str, Table] = {}
        for file in files:
            kind = _kind_of(file)
            fold = _FOLDS.get(kind)
            if fold is None or not self._is_sound(file):
                continue
            table = tables.setdefault(kind, {})
            for key, value in _read(file):
                table[key] = fold(table[key], value) if key in table else value
        return tables

    def _replace(self, tables: dict[str, Table], dead: list[Path]) -> None:
        new, old = self._path / "departing", self._departed_path()
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        for kind, table in tables.items():
            _write(new / f"{kind}_departed.db", table)
        (new / _FOLDED).write_text("".join(f"{_identity(file)}\n" for file in dead))
        self._serial += 1
        new.rename(self._departed_path())  # the moment from which they count as folded
        for file in dead:
            file.unlink()
        self._blamed.difference_update(dead)
        shutil.rmtree(old, ignore_errors=True)

    def _recover(self) -> None:
        """Finish what an admin child that was killed while folding has left half done."""
        found = [int(match["serial"]) for path in self._path.iterdir() if (match := _DEPARTED.fullmatch(path.name))]
        self._serial = max(found, default=0)
        if self._serial:
            folded = set((self._departed_path() / _FOLDED).read_text().splitlines())
            for file in self._files():
                if _identity(file) in folded:
                    file.unlink()
        for serial in found:
            if serial != self._serial:
                shutil.rmtree(self._path / f"departed-{serial}", ignore_errors=True)

    def _departed_path(self) -> Path:
        return self._path / f"departed-{self._serial}"

    def _departed(self) -> list[Path]:
        return list(self._departed_path().glob("*.db"))

    def _files(self) -> list[Path]:
        return [path for path in self._path.iterdir() if _NAME.fullmatch(path.name)]

    def _is_sound(self, file: Path) -> bool:
        try:
            _merge([file])
        except _GOSSIP as problem:
            if file not in self._blamed:
                self._blamed.add(file)
                log.warning("leaving out %s: not a file of prometheus_client: %s", file, problem)
            return False
        return True


# The three functions that talk to prometheus_client's code, to which its authors gave no types. They import it: where
# nobody scrapes and no worker with metrics of its own dies, it is not needed, and to import it is half of our start.


def _merge(files: Iterable[Path]) -> "list[Metric]":
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

    return list(MultiProcessCollector.merge([str(file) for file in files]))  # type: ignore[no-untyped-call]


def _read(file: Path) -> Iterator[tuple[str, Value]]:
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415

    for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
        yield key, (value, timestamp)


def _write(file: Path, table: Table) -> None:
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415

    values = MmapedDict(str(file))  # type: ignore[no-untyped-call]
    for key, (value, timestamp) in table.items():
        values.write_value(key, value, timestamp)  # type: ignore[no-untyped-call]
    values.close()  # type: ignore[no-untyped-call]


def _kind_of(file: Path) -> str:
    return file.stem.rpartition("_")[0]


def _pid_of(file: Path) -> int:
    return int(file.stem.rpartition("_")[2])


def _identity(file: Path) -> str:
    return f"{file.name} {file.stat().st_ino}"  # the inode: its process id may have a new owner some day


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, as somebody else's
    return True
