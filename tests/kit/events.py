"""Two FIFOs between a test and the handlers it runs: handlers tell events, and wait at a gate until let through.

A handler finds them as $EVENTS and $GATE: it appends a line to the one and reads one byte from the other.
Can go wrong: the event does not come: `TooLateError`.
"""

import os
import time
from pathlib import Path
from typing import Self

from tests.kit.wait import PATIENCE, TooLateError, readable


class Events:
    """Both ends are held open here, so that nobody ever blocks in open(2) or meets an end of file (fifo(7))."""

    def __init__(self, folder: Path) -> None:
        self.paths = {"EVENTS": folder / "events", "GATE": folder / "gate"}
        for path in self.paths.values():
            os.mkfifo(path)
        self._events, self._gate = (os.open(path, os.O_RDWR | os.O_NONBLOCK) for path in self.paths.values())
        self._rest = b""
        self.seen: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        return {name: str(path) for name, path in self.paths.items()}

    def next(self, *, within: float = PATIENCE) -> str:
        """The next line a handler wrote."""
        deadline = time.monotonic() + within
        while b"\n" not in self._rest:
            if not readable(self._events, within=deadline - time.monotonic()):
                raise TooLateError(f"no event within {within:g} s; before that: {self.seen}")
            self._rest += os.read(self._events, 65_536)
        line, _, self._rest = self._rest.partition(b"\n")
        self.seen.append(line.decode())
        return self.seen[-1]

    def expect(self, event: str, *, within: float = PATIENCE) -> str:
        """Wait for an event that starts so, past others."""
        deadline = time.monotonic() + within
        while not (line := self.next(within=deadline - time.monotonic())).startswith(event):
            pass
        return line

    def note(self, event: str) -> None:
        """Add one of the test's own: what comes before it was told before."""
        os.write(self._events, f"{event}\n".encode())

    def let_through(self, count: int = 1) -> None:
        """Open the gate for so many handlers."""
        os.write(self._gate, b"." * count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._events)
        os.close(self._gate)
        for path in self.paths.values():
            path.unlink()
