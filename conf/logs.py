"""The log: one write per record, as text in Gunicorn's shape or as JSON lines, to standard error or a file.

Ours is the logger "forkful", which does not propagate; "forkful.access" is the access log. The root logger is the
user's: until their code was imported, records that nobody handles go to our log (`logging.lastResort`), and
`adopt_root` makes that permanent at our level where their code configured nothing.
Can go wrong: a disk that is full, a pipe whose reader is gone or stuck. That must never hurt the program, so such
lines are lost, counted, and the count is the first line once it works again. Only `configure` itself raises
`OSError`, for a file that cannot be opened.
"""

import logging
import os
import select
import stat
import sys
from collections.abc import Iterator

from forkful.conf.plan import LogPlan

LOGGER = logging.getLogger("forkful")
ACCESS = logging.getLogger("forkful.access")

_MODE = 0o640
_PATIENCE = 1.0  # seconds that a stuck reader may hold us up, once; until it reads again it is not waited for
_TEXT = "[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s"
_DATE = "%Y-%m-%d %H:%M:%S %z"


class Sink(logging.Handler):
    """Where lines go: a descriptor we were given (`path` "") or a file that we append to and can reopen."""

    def __init__(self, fd: int, path: str = "") -> None:
        super().__init__()
        self.path = path
        self.lost = 0
        self._fd = _open(path) if path else fd
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
            fd = _open(self.path)
            os.close(self._fd)
            self._fd = fd
            self._look()
        except OSError as error:
            failure = f"{self.path} could not be reopened: {error.strerror}; this log goes on in the old file"
        finally:
            self.release()
        if failure:
            LOGGER.error(failure)

    def give_to(self, uid: int, gid: int) -> None:
        if self.path:
            os.fchown(self._fd, uid, gid)

    def close(self) -> None:
        if self.path and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        super().close()


def configure(log: LogPlan, process: str) -> None:
    """Send our records, and those of the user's that nobody handles, where `log` says. `process` is a field in JSON.

    May be called again, as after a fork or a reload. Raises `OSError` for a file that cannot be opened.
    """
    level = logging.getLevelName(log.level.upper())
    main = Sink(2, "" if log.file == "-" else log.file)
    try:
        access = Sink(1, "" if log.access == "-" else log.access) if log.access else None
    except OSError:
        main.close()
        raise
    main.setFormatter(_json(process) if log.format == "json" else logging.Formatter(_TEXT, _DATE))
    _install(LOGGER, main, level)
    if access:
        access.setFormatter(_json(process) if log.format == "json" else logging.Formatter("%(message)s"))
    _install(ACCESS, access, logging.INFO)
    logging.lastResort = main
    if any(isinstance(handler, Sink) for handler in logging.root.handlers):
        _remove(logging.root)
        logging.root.setLevel(logging.WARNING)
        adopt_root()


def adopt_root() -> None:
    """Give the user's records our log and our level where their code configured none; call it once that is imported.

    Not earlier: with a handler in place their `logging.basicConfig()` would do nothing. Not later: `logging.info()`
    and its like configure the root by themselves, in another shape.
    """
    if not logging.root.handlers:
        for handler in LOGGER.handlers:
            logging.root.addHandler(handler)
            if logging.root.level == logging.WARNING:  # its default
                logging.root.setLevel(LOGGER.level)


def reopen() -> None:
    """Open the log files anew, as after a rotation. Never raises."""
    for sink in _sinks():
        sink.reopen()


def give_to(uid: int, gid: int) -> None:
    """Hand the log files to the user that the workers become, so that these can reopen them. -1: as it is."""
    for sink in _sinks():
        sink.give_to(uid, gid)


def _sinks() -> Iterator[Sink]:
    for logger in (LOGGER, ACCESS):
        yield from (handler for handler in logger.handlers if isinstance(handler, Sink))


def _install(logger: logging.Logger, sink: Sink | None, level: int) -> None:
    old = _remove(logger)
    if sink:
        logger.addHandler(sink)
    logger.setLevel(level if sink else logging.CRITICAL + 1)
    logger.propagate = False
    for handler in old:
        handler.close()


def _remove(logger: logging.Logger) -> list[Sink]:
    old = [handler for handler in logger.handlers if isinstance(handler, Sink)]
    for handler in old:
        logger.removeHandler(handler)
    return old


def _json(process: str) -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter  # noqa: PLC0415  # most services log text

    return JsonFormatter(
        "%(levelname)s %(process)d %(title)s %(name)s %(message)s",
        rename_fields={
            "levelname": "level",
            "process": "pid",
            "title": "process",
            "name": "logger",
            "exc_info": "exception",
        },
        static_fields={"title": process},
        timestamp="time",
    )


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
