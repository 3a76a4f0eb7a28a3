"""The limit for tracebacks: the same failure over and over fills no disk, and how often it came is told.

What was left out and is not told yet is told with the next record of its kind, or when `left_out` is asked.
"""

import logging
from collections.abc import Iterator
from copy import copy
from time import monotonic
from typing import Final

MOST: Final = 10  # tracebacks of one kind in a second
_KINDS: Final = 256  # that are told apart at a time; what is more is forgotten, and its count told


class Repeats:
    """Counts the records with a traceback by where they came from: what was raised, where, and who logged it."""

    def __init__(self) -> None:
        self._kinds: dict[object, _Kind] = {}

    def admit(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """The record, with the count of those left out before it; or None, if it is one too many."""
        if not record.exc_info or record.exc_info[0] is None:
            return record
        now = monotonic()
        key = _key(record)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(record.name, record.exc_info[0].__name__, now)
        if now >= kind.until:
            kind.until, kind.seen = now + 1, 0
        kind.seen += 1
        if kind.seen > MOST:
            kind.left_out += 1
            return None
        if kind.left_out:
            record = copy(record)
            record.msg, record.args = f"{record.getMessage()} ({_count(kind.left_out)} before it)", None
            kind.left_out = 0
        return record

    def left_out(self, *, at_end: bool = False) -> Iterator[str]:
        """Of which kinds some were left out, once that is not told by another of them: they ended, or we do."""
        now = monotonic()
        for key, kind in list(self._kinds.items()):
            if not at_end and now < kind.until and len(self._kinds) <= _KINDS:
                continue
            self._kinds.pop(key, None)
            if kind.left_out:
                yield f"{_count(kind.left_out)}: {kind.raised}, logged by {kind.logger}"


class _Kind:
    """One kind of failure in the second that ends at `until`."""

    __slots__ = ("left_out", "logger", "raised", "seen", "until")

    def __init__(self, logger: str, raised: str, now: float) -> None:
        self.logger = logger
        self.raised = raised
        self.until = now + 1
        self.seen = self.left_out = 0


def _count(number: int) -> str:
    return f"{number} more tracebacks of this kind were left out" if number != 1 else "1 more of this kind was left out"


def _key(record: logging.LogRecord) -> object:
    assert isinstance(record.exc_info, tuple)
    trace = record.exc_info[2]
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace is not None else None
    return record.name, record.lineno, record.exc_info[0], where
