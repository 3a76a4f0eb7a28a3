"""Colours of the log, where code is developed and a terminal shows it: levels, tracebacks, and the status of requests.

`NO_COLOR` and `FORCE_COLOR` decide as they do for Python itself, else a terminal has colours and nothing else.
A traceback begins at the first frame that is not ours. Whatever a client had put into a line is escaped before.
"""

import itertools
import logging
import os
import re
import traceback
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Final

from forkful.conf.log_sink import TextFormatter

_RESET, _DIM, _BOLD = "\x1b[0m", "\x1b[2m", "\x1b[1m"
_RED, _GREEN, _YELLOW, _BLUE, _MAGENTA, _CYAN = (f"\x1b[{n}m" for n in range(31, 37))
_LEVELS: Final = {"DEBUG": _DIM, "INFO": _GREEN, "WARNING": _YELLOW, "ERROR": _RED, "CRITICAL": _BOLD + _RED}
_STATUS: Final = {"1": _CYAN, "2": _GREEN, "3": _CYAN, "4": _YELLOW, "5": _BOLD + _RED}
_HEAD: Final = re.compile(r"\[[^\]]*\] \[[^\]]*\] \[(\w+)\] ")
_FRAME: Final = re.compile(r'(?m)^( *)File "([^"\n]+)", line (\d+)(?:, in (\S+))?$')
_RAISED: Final = re.compile(r"(?m)^([A-Za-z_][\w.]*)(: .*)?$")
_MARKS: Final = re.compile(r"(?m)^ +[~^]+ *$")
_ANSWERED: Final = re.compile(r'(" )([1-5])(\d\d)(?= )')

Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def are_shown(fd: int, environ: Mapping[str, str]) -> bool:
    """Whether what is written there is to have colours: https://no-color.org, https://force-color.org."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return environ.get("TERM") != "dumb" and os.isatty(fd)


class DevelopingFormatter(TextFormatter):
    """Lines as ever, in colours if there are any, with the user's frames only."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def formatException(self, ei: Raised) -> str:  # noqa: N802  # its name in the standard library
        error: BaseException | None = ei[1]
        if error is None:
            return super().formatException(ei)
        report = traceback.TracebackException.from_exception(error)
        link: traceback.TracebackException | None = report
        while link is not None and error is not None:
            ours = sum(1 for _ in itertools.takewhile(_is_ours, traceback.walk_tb(error.__traceback__)))
            if ours < len(link.stack):
                link.stack = traceback.StackSummary.from_list(link.stack[ours:])
            link, error = link.__cause__ or link.__context__, error.__cause__ or error.__context__
        return "".join(report.format()).rstrip("\n")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return coloured(text) if self._colours else text


def _is_ours(step: tuple[FrameType, int]) -> bool:
    return str(step[0].f_globals.get("__name__", "")).startswith("forkful.")


def coloured(text: str) -> str:
    """A record, whose first line has its level, and whose others may be a traceback."""
    head, feed, rest = text.partition("\n")
    found = _HEAD.match(head)
    if found is not None and found[1] in _LEVELS:
        colour = _LEVELS[found[1]]
        message = head[found.end() :]
        strong = _BOLD + message + _RESET if found[1] in {"ERROR", "CRITICAL"} else message
        head = f"{_DIM}{head[: found.start(1)]}{_RESET}{colour}{found[1]}{_RESET}{_DIM}]{_RESET} {strong}"
    if not rest:
        return head + feed
    rest = _RAISED.sub(lambda m: f"{_BOLD}{_RED}{m[1]}{_RESET}{m[2] or ''}", rest)
    rest = _FRAME.sub(_frame, rest)
    return head + feed + _MARKS.sub(lambda m: f"{_RED}{m[0]}{_RESET}", rest)


def _frame(found: re.Match[str]) -> str:
    within = f", in {_BOLD}{found[4]}{_RESET}" if found[4] else ""
    return f'{found[1]}File "{_MAGENTA}{found[2]}{_RESET}", line {_CYAN}{found[3]}{_RESET}{within}'


class AccessFormatter(logging.Formatter):
    """The line, with the status in the colour of its class."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return _ANSWERED.sub(lambda m: f"{m[1]}{_STATUS[m[2]]}{m[2]}{m[3]}{_RESET}", line, count=1)
