"""The sink: one write per record, to a descriptor we were given or to a file that can be reopened.

Can go wrong: a disk that is full, a pipe whose reader is gone or stuck. That must never hurt the program, so such
lines are lost, counted, and the count is the first line once it works again. Only making one raises `OSError`, for a
file that cannot be opened.
"""

import logging
import os
import re
import select
import stat
import sys

from forkful.conf import file_rights

_PATIENCE = 1.0  # seconds that a stuck reader may hold us up, once; until it reads again it is not waited for
_TEXT = "[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s"
_DATE = "%Y-%m-%d %H:%M:%S %z"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # all but tab and line feed


class Sink(logging.Handler):
    """Where lines go: a descriptor we were given (`path` "") or a file that we append to and can reopen."""

    def __init__(self, fd: int, path: str = "") -> None:
        super().__init__()
        self.path = path
        self.lost = 0
        self._fd = -1  # `close` is called for one that could not be opened, too: logging.shutdown() knows it already
        self._fd = open_file(path) if path else fd
        self._look()

    def _look(self) -> None:
        """A pipe takes `PIPE_BUF` bytes at once or makes us wait, pipe(7): it gets a long record in such pieces."""
        try:
            piped = stat.S_ISFIFO(os.fstat(self._fd).st_mode)
        except OSError:  # closed, as a daemon's standard error may be: writing will say so
            piped = False
        self._piece = select.PIPE_BUF if piped else sys.maxsize
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + "\n"
        except Exception:  # noqa: BLE001  # arguments that do not fit their message, or whose __str__ raises
            line = f"{record.levelname} at {record.pathname}:{record.lineno} could not be put into words\n"
        if self.lost and self._write(f"{self.lost} lines of the log were lost here\n", 0):
            self.lost = 0
        if self.lost or not self._write(line, _PATIENCE):
            self.lost += 1

    def _write(self, line: str, patience: float) -> bool:
        data = line.encode(errors="backslashreplace")
        try:
            while data:
                if not self._poll.poll(patience * 1000):
                    return False
                data = data[os.write(self._fd, data[: self._piece]) :]
        except OSError:
            return False
        return True

    def reopen(self) -> None:
        """Open the path anew, as after a rotation; keep the old file and say so where that fails."""
        if not self.path:
            return
        failure = ""
        self.acquire()
        try:
            fd = open_file(self.path)
            os.close(self._fd)
            self._fd = fd
            self._look()
        except OSError as error:
            failure = f"{self.path} could not be reopened: {error.strerror}; this log goes on in the old file"
        finally:
            self.release()
        if failure:
            logging.getLogger("forkful").error(failure)

    def close(self) -> None:
        """Nothing: `dictConfig` and `fileConfig` close every handler that they find, ours among them."""

    def dispose(self) -> None:
        """Let go of the file."""
        if self.path and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        super().close()


class TextFormatter(logging.Formatter):
    """Gunicorn's shape. Whatever a client had put into a message or an exception: only a record's line begins with [.

    Line feeds stay, for tracebacks and stacks have them; other control characters are shown, never sent to a terminal.
    """

    def __init__(self) -> None:
        super().__init__(_TEXT, _DATE)

    def format(self, record: logging.LogRecord) -> str:
        return _CONTROL.sub(_escape, super().format(record)).replace("\n[", "\n [")


def _escape(match: "re.Match[str]") -> str:
    return match[0].encode("unicode_escape").decode()


def open_file(path: str) -> int:
    return file_rights.open_shared(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
