"""The limit for what repeats: the same failure or line over and over fills no disk, and how often it came is told.

What was left out and is not told yet is told with the next record of its kind, or when `left_out` is asked.
"""

import logging
from collections.abc import Iterator
from copy import copy
from time import monotonic
from typing import Final

MOST: Final = 10  # tracebacks of one kind in a second, and lines of ours of one kind
_MOST_OF_APPLICATIONS: Final = 300  # lines; what they write on wsgi.errors, a traceback line by line
_KINDS: Final = 256  # that are told apart at a time; what is more is forgotten, and its count told


class Repeats:
    """Counts the records by where they came from; with a traceback: what was raised, where, and who logged it."""

    def __init__(self) -> None:
        self._kinds: dict[object, _Kind] = {}
        self.limited = True  # not where code is developed, and each failure is somebody's to see

    def admit(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """The record with a traceback, with the count of those left out before it; or None, if it is one too many."""
        if not self.limited or not record.exc_info or record.exc_info[0] is None:
            return record
        return self._counted(record, _key(record), MOST, record.exc_info[0].__name__)

    def admit_line(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """The same for a line of a worker's: what a client makes it say once, a client can make it say for ever."""
        if not self.limited or record.levelno < logging.INFO or (record.exc_info and record.exc_info[0] is not None):
            return self.admit(record)
        most = _MOST_OF_APPLICATIONS if record.name == "forkful.app" else MOST
        return self._counted(record, (record.name, record.pathname, record.lineno), most, "")

    def _counted(self, record: logging.LogRecord, key: object, most: int, raised: str) -> logging.LogRecord | None:
        now = monotonic()
        kind = self._kinds.get(key)
        if kind is None:
            what = raised or f"{record.msg!s:.60}"
            kind = self._kinds[key] = _Kind(record.name, what, "tracebacks" if raised else "lines", now)
        if now >= kind.until:
            kind.until, kind.seen = now + 1, 0
        kind.seen += 1
        if kind.seen > most:
            kind.left_out += 1
            return None
        if kind.left_out:
            record = copy(record)
            record.msg, record.args = f"{record.getMessage()} ({_count(kind)} before it)", None
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
                yield f"{_count(kind)}: {kind.what}, logged by {kind.logger}"


class _Kind:
    """One kind of failure in the second that ends at `until`."""

    __slots__ = ("form", "left_out", "logger", "seen", "until", "what")

    def __init__(self, logger: str, what: str, form: str, now: float) -> None:
        self.logger = logger
        self.what = what
        self.form = form
        self.until = now + 1
        self.seen = self.left_out = 0


def _count(kind: _Kind) -> str:
    if kind.left_out == 1:
        return "1 more of this kind was left out"
    return f"{kind.left_out} more {kind.form} of this kind were left out"


def _key(record: logging.LogRecord) -> object:
    assert isinstance(record.exc_info, tuple)
    trace = record.exc_info[2]
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace is not None else None
    return record.name, record.lineno, record.exc_info[0], where
