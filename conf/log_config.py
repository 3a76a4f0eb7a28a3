"""The operator's own logging configuration, `log_config`: a file in TOML or JSON (as `dictConfig` takes) or ini.

It is read with the settings (`log_source`) and travels in the plan as text, so that every process applies what was
checked, however the file is changed meanwhile; a reload reads it anew.
Can go wrong: what the classes in it raise, and what only this process may not do: told in words, for the log.
"""

import contextlib
import json
import logging
from collections.abc import Iterator
from typing import IO, Any

from forkful.conf import file_rights

_applied = ""


def is_applied(content: str) -> bool:
    return content == _applied


def apply(content: str) -> str:
    """Configure this process so, if that was not done already; return what went wrong, in words."""
    global _applied  # noqa: PLW0603  # what a process's logging is, is global as well
    if content == _applied:
        return ""
    if _applied:
        _clear()
    _applied = content
    if not content:
        return ""
    if file_rights.stranger() is not None:
        _share_files()
    import configparser  # noqa: PLC0415  # most services do without
    import logging.config  # noqa: PLC0415  # as above

    try:
        if content.startswith("{"):
            logging.config.dictConfig(json.loads(content))
        else:
            parser = configparser.ConfigParser()
            parser.read_string(content)
            logging.config.fileConfig(parser)
    except Exception as error:  # noqa: BLE001  # whatever the classes in it raise
        return _words(error)
    return ""


def reopen() -> None:
    """Have its files opened anew with their next record."""
    if _applied:
        for handler in _files():
            handler.acquire()
            try:
                if handler.stream is not None:
                    handler.stream.close()
                    handler.stream = None
                with contextlib.suppress(OSError):  # the next record tries it again
                    handler.stream = handler._open()  # noqa: SLF001  # as WatchedFileHandler does
            finally:
                handler.release()


def _share_files() -> None:
    """Have the files of root's opened as our own logs are."""

    def opened(handler: logging.FileHandler) -> IO[Any]:  # Any: as open() has it
        opener = file_rights.open_shared
        return open(  # as the standard library does it, with an opener
            handler.baseFilename, handler.mode, encoding=handler.encoding, errors=handler.errors, opener=opener
        )

    logging.FileHandler._open = opened  # type: ignore[method-assign, assignment]  # noqa: SLF001  # what they share


def _files() -> Iterator[logging.FileHandler]:
    seen = set[int]()
    for logger in _loggers():
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler) and id(handler) not in seen:
                seen.add(id(handler))
                yield handler


def _loggers() -> Iterator[logging.Logger]:
    yield logging.root
    yield from (one for one in list(logging.root.manager.loggerDict.values()) if isinstance(one, logging.Logger))


def _clear() -> None:
    """Before another takes its place: what this one gave to loggers that the other may not name."""
    for handler in _files():
        handler.close()
    for logger in _loggers():
        if logger is logging.root or logger.name == "forkful" or logger.name.startswith("forkful."):
            ours = [handler for handler in logger.handlers if type(handler).__module__.startswith("forkful.conf.")]
            logger.handlers[:] = ours
            if not ours and logger.name not in {"root", "forkful", "forkful.access"}:
                logger.setLevel(logging.NOTSET)
                logger.propagate = True


def _words(error: BaseException) -> str:
    """`dictConfig` says where, and its cause says why."""
    causes = [str(error) or type(error).__name__]
    while error.__cause__ is not None:
        error = error.__cause__
        causes.append(f"{type(error).__name__}: {error}")
    return "; ".join(causes).replace("\n", " ")
