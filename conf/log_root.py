"""Our handler on the user's root logger: it writes what nobody else writes, and is not there for those who look.

With a handler of ours in place `logging.info()` and its like write to our log, instead of configuring the root in a
shape of their own; and records below WARNING come. `logging.basicConfig` does nothing where the root has a handler,
so it is wrapped: ours makes room, whenever the application calls it.
A record that a handler of the user's own takes is the user's.
"""

import logging
from collections.abc import Iterator
from functools import wraps
from typing import Any, Final

from forkful.conf.log_repeats import Repeats


class RootLog(logging.Handler):
    """There is one, `ROOT`. It writes to where `follow` said last."""

    def __init__(self) -> None:
        super().__init__()
        self._target: logging.Handler = logging.NullHandler()
        self._repeats = Repeats()
        self._level = logging.WARNING  # ours for the root
        self._given = False  # the root has it from us

    def follow(self, target: logging.Handler, level: int, repeats: Repeats) -> None:
        """Write to this handler from now on; `level` is for a root logger that is ours."""
        self._target, self._level, self._repeats = target, level, repeats
        if self in logging.root.handlers and self._given:
            logging.root.setLevel(level)
        if not hasattr(logging.basicConfig, "makes_room"):
            logging.basicConfig = _making_room(logging.basicConfig)

    def adopt(self) -> None:
        """Take the root logger if it is nobody's."""
        if not logging.root.handlers:
            logging.root.addHandler(self)
            if logging.root.level == logging.WARNING:  # its default
                logging.root.setLevel(self._level)
                self._given = True

    def leave(self) -> None:
        """Undo `adopt`."""
        logging.root.removeHandler(self)
        if self._given:
            logging.root.setLevel(logging.WARNING)
            self._given = False

    def close(self) -> None:
        """Nothing: `dictConfig` closes every handler that it finds."""

    def emit(self, record: logging.LogRecord) -> None:
        if any(_takes(handler, record, at_root=at_root) for at_root, handler in _others(record.name)):
            return
        admitted = self._repeats.admit(record)
        if admitted is not None:
            self._target.handle(admitted)


ROOT: Final = RootLog()


def _others(name: str) -> Iterator[tuple[bool, logging.Handler]]:
    """The handlers that a record of this logger meets beside ours, and whether each is the root's."""
    found = logging.root.manager.loggerDict.get(name)
    logger: logging.Logger | None = found if isinstance(found, logging.Logger) else logging.root
    while logger is not None:
        yield from ((logger is logging.root, handler) for handler in logger.handlers if handler is not ROOT)
        logger = logger.parent if logger.propagate else None


def _takes(handler: logging.Handler, record: logging.LogRecord, *, at_root: bool) -> bool:
    """Whether this handler shows the record to somebody who would then read it twice. A mail is no log: Django mails
    errors by default, to nobody, and would so keep its tracebacks to itself."""
    if isinstance(handler, logging.NullHandler):
        return False
    if at_root:  # the user configured the root: what it does not show is not to be shown
        return True
    if "mail" in type(handler).__name__.lower() or isinstance(handler, _smtp()):
        return False
    return record.levelno >= handler.level and bool(handler.filter(record))


def _smtp() -> type[logging.Handler] | tuple[()]:
    """Whoever has such a handler has imported its module; most have not."""
    import sys  # noqa: PLC0415

    module = sys.modules.get("logging.handlers")
    return module.SMTPHandler if module is not None else ()


def _making_room(basic_config: Any) -> Any:  # Any: whatever keywords the standard library takes
    @wraps(basic_config)
    def wrapped(**keywords: Any) -> None:
        was_there = ROOT in logging.root.handlers
        ROOT.leave()
        try:
            basic_config(**keywords)
        finally:
            if was_there:
                ROOT.adopt()  # if it raised, and the root is still nobody's

    wrapped.makes_room = True  # type: ignore[attr-defined]  # so that it is wrapped once
    return wrapped
