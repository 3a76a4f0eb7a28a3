"""Prompts, with `reload`: the master hears when somebody sits at one, and lets who sits there take their time.

Debuggers of the standard library's kind (`breakpoint()`, `pdb.set_trace()`, `pdb.post_mortem()`, whatever is a
`cmd.Cmd`) are there from their first prompt on until they trace no more; other programs ask by `input()`.
Can go wrong: a debugger that is of another kind is not seen; it has `graceful_timeout`.
"""

import builtins
import cmd
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Tell = Callable[[bool], object]


class Sitting:
    """Who asks: threads with a debugger, and threads within `input()`. `tell` hears of the first and of the last."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._there = set[tuple[str, int]]()

    @contextmanager
    def at(self, what: str) -> Iterator[None]:
        key = (what, threading.get_ident())
        self._change({key}, set())
        try:
            yield
        finally:
            if what == "input" or sys.gettrace() is None:
                self._change(set(), {key})

    def _change(self, come: set[tuple[str, int]], gone: set[tuple[str, int]]) -> None:
        with self._lock:
            before = bool(self._there)
            self._there = (self._there | come) - gone
            if bool(self._there) != before:
                self._tell(bool(self._there))


def follow(tell: Tell) -> None:
    """Call `tell` with True when somebody comes to sit at a prompt, with False when nobody does. Anew in a child."""
    sitting = Sitting(tell)
    builtins.input = _wrapped(builtins.input, "input", sitting)
    cmd.Cmd.cmdloop = _wrapped(cmd.Cmd.cmdloop, "debugger", sitting)  # type: ignore[method-assign]


def _wrapped(function: Callable[..., Any], what: str, sitting: Sitting) -> Callable[..., Any]:  # Any: as it is
    plain = getattr(function, "__wrapped__", function)

    @functools.wraps(plain)
    def asking(*args: Any, **keywords: Any) -> Any:  # Any: as above
        with sitting.at(what):
            return plain(*args, **keywords)

    return asking
