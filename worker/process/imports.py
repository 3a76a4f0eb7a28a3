"""Imports: which files this process has imported, for `reload`, which watches them; what comes later is told, too.

Python's own library is left out. What is told once is not told again, by children neither.
Can go wrong: a module whose `__file__` is no path of a file: it is left out.
"""

import importlib.abc
import os
import re
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

from forkful.worker.ipc import reload_messages

_MOST: Final = 400_000  # characters of paths in one message
_SOON: Final = 0.5  # seconds after an import in which others follow
_LIBRARY: Final = tuple(f"{os.path.realpath(sysconfig.get_path(name))}/" for name in ("stdlib", "platstdlib"))
_SITE: Final = ("/site-packages/", "/dist-packages/")

_FILE: Final = re.compile(r'File "([^"\n]+)"')

_told: set[str] = set()


def tell(send: Callable[[reload_messages.Imported], object], others: Iterable[str] = ()) -> None:
    """Say what is new since the last time, and `others`."""
    files: dict[str, list[str]] = {}
    room, left_out = _MOST, 0
    for path in {*_paths(), *others}:
        if path in _told:
            continue
        room -= len(path)
        if room < 0:
            left_out += 1
            continue
        _told.add(path)
        folder, name = os.path.split(path)
        files.setdefault(folder, []).append(name)
    if files or left_out:
        send(reload_messages.Imported({folder: tuple(names) for folder, names in files.items()}, left_out))


def _paths() -> set[str]:
    found = set[str]()
    for module in [*sys.modules.values()]:
        path = getattr(getattr(module, "__spec__", None), "origin", None) or getattr(module, "__file__", None)
        if isinstance(path, str) and path.startswith("/") and not _is_pythons(path):
            found.add(path)
    return found


def named_in(trace: str) -> set[str]:
    """The files that a traceback goes through: one with a mistake is nowhere among the modules."""
    return {path for path in _FILE.findall(trace) if path.startswith("/") and not _is_pythons(path)}


def are_followed() -> bool:
    """Whether this process tells of what it imports."""
    return any(isinstance(finder, Follower) for finder in sys.meta_path)


def _is_pythons(path: str) -> bool:
    return path.startswith(_LIBRARY) and not any(part in path for part in _SITE)


class Follower(importlib.abc.MetaPathFinder):
    """Finds nothing; sees that something is imported, and has it told a little later."""

    def __init__(self, send: Callable[[reload_messages.Imported], object]) -> None:
        self._send = send
        self._waits = False

    def find_spec(
        self, _name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not self._waits:
            self._waits = True
            timer = threading.Timer(_SOON, self._tell)
            timer.daemon = True
            timer.start()
        return None

    def _tell(self) -> None:
        self._waits = False
        tell(self._send)


def follow(send: Callable[[reload_messages.Imported], object]) -> None:
    """Tell whenever something was imported."""
    sys.meta_path.insert(0, Follower(send))
