"""The log: where our records go, and the user's that nobody handles, as text in Gunicorn's shape or as JSON lines.

Ours are the loggers `NAMES`, which nobody switches off by the way: `dictConfig` and `fileConfig` disable every logger
that they do not name, unless told otherwise. "forkful" does not propagate; "forkful.access" is the access log. Who
names them in a logging configuration gets what is written there. The root logger is the user's, see `log_root`.
Can go wrong: `configure` raises `OSError`, for a file that cannot be opened.
"""

import contextlib
import logging
import os
from collections.abc import Iterator

from forkful.conf import file_rights, log_colours, log_config
from forkful.conf.log_repeats import Repeats
from forkful.conf.log_root import ROOT
from forkful.conf.log_sink import Sink, TextFormatter, open_file
from forkful.conf.plan import LogPlan

#: Every logger of ours; a test holds the list complete.
NAMES = (
    "forkful",
    "forkful.access",
    "forkful.admin",
    "forkful.app",
    "forkful.http",
    "forkful.master",
    "forkful.mold",
    "forkful.worker",
)
_OF_WORKERS = frozenset({"forkful.app", "forkful.http", "forkful.worker"})  # where a client may be the reason
_OFF = logging.CRITICAL + 1
_REPEATS = Repeats()


class _Ours(logging.Logger):
    """A logger that stays enabled, and writes the same traceback only so often."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(self, value: bool) -> None: ...

    def handle(self, record: logging.LogRecord) -> None:
        if self.name != "forkful.access":
            for line in _REPEATS.left_out():
                super().handle(self.makeRecord(self.name, logging.ERROR, __file__, 0, line, (), None))
        is_workers = self.name in _OF_WORKERS
        admitted = _REPEATS.admit_line(record) if is_workers else _REPEATS.admit(record)
        if admitted is not None:
            super().handle(admitted)


for _name in NAMES:  # the class is changed afterwards, for a `setLoggerClass` of the user's may have come first
    logging.getLogger(_name).__class__ = _Ours

LOGGER = logging.getLogger("forkful")
ACCESS = logging.getLogger("forkful.access")


def is_on_stderr(level: int) -> bool:
    """Whether a record of ours at this level is seen by whoever reads standard error."""
    ours = (handler for handler in LOGGER.handlers if isinstance(handler, Sink))
    return LOGGER.isEnabledFor(level) and any(not sink.path for sink in ours)


def configure(log: LogPlan, process: str) -> None:
    """Send our records, and those of the user's that nobody handles, where `log` says. `process` is a field in JSON.

    May be called again, as after a fork or a reload. Raises `OSError` for a file that cannot be opened.
    """
    level = logging.getLevelName(log.level.upper())
    main = Sink(2, "" if log.file == "-" else log.file)
    try:
        access = Sink(1, "" if log.access == "-" else log.access) if log.access else None
    except OSError:
        main.dispose()
        raise
    anew = not log_config.is_applied(log.config)
    main.setFormatter(_json(process) if log.format == "json" else _text(log, main))
    _REPEATS.limited = not log.developing
    _install(LOGGER, main, level, anew=anew)
    if access:
        access.setFormatter(_json(process) if log.format == "json" else _line(log, access))
    _install(ACCESS, access, logging.INFO, anew=anew)
    logging.lastResort = main
    ROOT.follow(main, level, _REPEATS)
    if wrong := log_config.apply(log.config):
        LOGGER.error("log_config does not work in this process (%s): %s", process, wrong)
    if ACCESS.level == _OFF and ACCESS.handlers:  # named there, without a level
        ACCESS.setLevel(logging.INFO)


def adopt_root() -> None:
    """Give the user's records our log and our level where their code configured none; call it once that is imported."""
    ROOT.adopt()


def finish() -> None:
    """The process ends: tell what is not told yet."""
    for line in _REPEATS.left_out(at_end=True):
        LOGGER.error(line)


def reopen() -> None:
    """Open the log files anew, as after a rotation. Never raises."""
    for sink in _sinks():
        sink.reopen()
    log_config.reopen()


def prepare(log: LogPlan) -> None:
    """See that the files are there and the workers', who open them before we do. What is wrong is theirs to tell."""
    for path in (log.file, log.access):
        if path not in ("", "-") and file_rights.stranger() is not None:
            with contextlib.suppress(OSError):
                os.close(open_file(path))


def _sinks() -> Iterator[Sink]:
    for logger in (LOGGER, ACCESS):
        yield from (handler for handler in logger.handlers if isinstance(handler, Sink))


def _install(logger: logging.Logger, sink: Sink | None, level: int, *, anew: bool) -> None:
    """Put a sink in the place of the one before. Where a configuration of somebody's took its place, that stays."""
    old = [handler for handler in logger.handlers if isinstance(handler, Sink)]
    if logger.handlers and not old and not anew:
        return
    for handler in old:
        logger.removeHandler(handler)
    if sink:
        logger.addHandler(sink)
    logger.setLevel(level if sink else _OFF)
    logger.propagate = False
    for handler in old:
        handler.dispose()


def _text(log: LogPlan, sink: Sink) -> logging.Formatter:
    if not log.developing:
        return TextFormatter()
    return log_colours.DevelopingFormatter(colours=not sink.path and log_colours.are_shown(2, os.environ))


def _line(log: LogPlan, sink: Sink) -> logging.Formatter:
    if log.developing and not sink.path and log_colours.are_shown(1, os.environ):
        return log_colours.AccessFormatter("%(message)s")
    return logging.Formatter("%(message)s")


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
