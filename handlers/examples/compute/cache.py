"""The cache: results by key, a file each, so that they outlive workers, reloads and upgrades.

It is the folder `COMPUTE_CACHE`, or lies beside the service's metrics and ends with it. Beyond its size the oldest go.
Can go wrong: a file cannot be read or written: told, and the task is computed again next time.
"""

import logging
import os
from pathlib import Path

log = logging.getLogger("compute")


class Cache:
    """One folder, for one process and its successor."""

    def __init__(self) -> None:
        beside = Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "."), "compute-results")
        self._folder = Path(os.environ.get("COMPUTE_CACHE") or beside)
        self._most = int(os.environ.get("COMPUTE_CACHE_SIZE", "0")) or 1 << 26  # bytes
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._shrink()

    def get(self, key: str) -> bytes:
        """The result of this key; b"" if it is not there."""
        path = self._folder / key
        try:
            return path.read_bytes() if path.exists() else b""
        except OSError as error:
            log.warning("a result cannot be read: %s", error)
            return b""

    def put(self, key: str, result: bytes) -> None:
        """Keep it: it is there whole, or not at all."""
        unfinished = self._folder / f".{os.getpid()}"  # that of a killed worker goes as the oldest do
        try:
            unfinished.write_bytes(result)
            unfinished.replace(self._folder / key)
            self._size += len(result)
            if self._size > self._most:
                self._shrink()
        except OSError as error:
            log.warning("a result is not kept: %s", error)

    def _shrink(self) -> None:
        """Keep the youngest, so that a tenth is free."""
        found = sorted(((each.stat().st_mtime, each) for each in self._folder.iterdir()), reverse=True)
        self._size = 0
        for _, path in found:
            self._size += path.stat().st_size
            if self._size > self._most * 0.9:
                self._size -= path.stat().st_size
                path.unlink(missing_ok=True)
