"""Hooks: functions of the user's that are called at moments in the life of a worker, as the setting `hooks` says.

    def post_fork(hook):                     # or any other name, where the settings say which function is meant
        tracing.start(f"{hook.pool}-{hook.slot}")

on_load        once, before the application is imported: in the mold with `preload`, else in each worker
post_fork      in each worker, before it loads the handler
worker_ready   the application is loaded and has started up; the worker takes its first connection after that
worker_drain   the worker takes nothing more, and finishes what it has
worker_exit    it has finished, and leaves; not in one that is killed, dies or must leave at once

Functions for one moment are called in their order. `worker_ready`, `worker_drain` and `worker_exit` may be coroutine
functions where the handler lives on the event loop.
Can go wrong: there is no such function, it takes other arguments, it fails: `HookError`.
"""

import inspect
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from forkful.conf.hook_names import ALIASES, ELSEWHERE, NAMES
from forkful.conf.light import dataclass
from forkful.handlers.load import LoadError, describe, load, trim

logger = logging.getLogger("forkful.worker")

Function = Callable[[Any], Any]  # Any: the user's
WITHOUT_LOOP = frozenset({"on_load", "post_fork"})  # moments at which there is no event loop yet
_loaded: set[str] = set()  # the pools whose on_load was called in this process, or before it was forked


@dataclass(frozen=True, slots=True)
class HookContext:
    """What a hook is called with: the moment's name, and where it is. `slot` is None in the mold."""

    hook: str
    pool: str
    slot: int | None
    pid: int
    generation: int


class HookError(Exception):
    """A hook that cannot be found, or has failed. `traceback` is text, empty where the message says it all."""

    def __init__(self, hook: str, message: str, trace: str = "") -> None:
        super().__init__(f"hook {hook}: {message}")
        self.hook = hook
        self.traceback = trace


class Hooks:
    """Those of one pool, in this process. Functions are looked up when they are first needed."""

    def __init__(self, said: Sequence[tuple[str, str]], pool: str, generation: int, slot: int | None = None) -> None:
        self._said = said
        self._pool, self._slot, self._generation = pool, slot, generation
        self._found: dict[str, list[tuple[str, Function]]] = {}

    def __bool__(self) -> bool:
        return bool(self._said)

    def functions(self, hook: str) -> list[tuple[str, Function]]:
        """What is to be called, each with the text that names it. Raises `HookError`."""
        if hook not in self._found:
            self._found[hook] = [found for name, text in self._said for found in _look_up(hook, name, text)]
        return self._found[hook]

    def find_all(self, why_no_loop: str = "") -> None:
        """Look up the rest. `why_no_loop`: there is none for coroutine functions. Raises `HookError`."""
        for hook in NAMES:
            no_loop = "there is no event loop yet" if hook in WITHOUT_LOOP else why_no_loop
            for text, function in self.functions(hook):
                if no_loop and inspect.iscoroutinefunction(function):
                    raise HookError(hook, f"{text} is a coroutine function, and {no_loop}: write a plain one")

    def unheeded(self) -> list[str]:
        """Functions in modules of hooks that have a name of Gunicorn's hooks and are called by nobody here."""
        modules = [text for name, text in self._said if not name]
        return [
            f"{module}.{name} is not called: {instead}"
            for module in modules
            for name, instead in ELSEWHERE.items()
            if callable(getattr(sys.modules.get(module), name, None))
        ]

    def begin(self, hook: str, function: Function, text: str) -> Awaitable[object] | None:
        """Call one; what is to be awaited comes back. Raises `HookError`."""
        context = HookContext(hook, self._pool, self._slot, os.getpid(), self._generation)
        try:
            result = function(context)
        except (Exception, SystemExit) as error:
            raise failed(hook, text, error) from error
        return result if inspect.isawaitable(result) else None

    def call(self, hook: str) -> None:
        """Call all of a moment, the first failure ends it. Raises `HookError`."""
        for text, function in self.functions(hook):
            awaited = self.begin(hook, function, text)
            if awaited is not None:
                if inspect.iscoroutine(awaited):
                    awaited.close()
                raise HookError(hook, f"{text} wants to be awaited, and there is no event loop: write a plain function")

    def on_load(self) -> None:
        """Call that moment's, unless it was before this process was forked. Raises `HookError`."""
        if self._said and self._pool not in _loaded:
            self.call("on_load")
            _loaded.add(self._pool)


def failed(hook: str, text: str, error: BaseException) -> HookError:
    """`error` as it was caught by who called it, whose frame tells nothing."""
    where = error.__traceback__.tb_next if error.__traceback__ is not None else None
    return HookError(hook, f"{text} failed: {describe(error)}", trim(error.with_traceback(where)))


def _look_up(hook: str, name: str, text: str) -> list[tuple[str, Function]]:
    if not name:
        return _in_module(hook, text)
    if name != hook:
        return []
    try:
        function = load(text)
    except LoadError as error:
        raise HookError(hook, str(error), error.traceback) from error
    return [(repr(text), _checked(hook, repr(text), function))]


def _in_module(hook: str, module: str) -> list[tuple[str, Function]]:
    try:
        load(f"{module}:__name__")
    except LoadError as error:
        raise HookError(hook, f"the module of hooks cannot be used: {error}", error.traceback) from error
    names = [hook, *(alias for alias, known in ALIASES.items() if known == hook)]
    found = [name for name in names if callable(getattr(sys.modules[module], name, None))]
    return [
        (f"{module}.{name}", _checked(hook, f"{module}.{name}", getattr(sys.modules[module], name))) for name in found
    ]


def _checked(hook: str, text: str, function: object) -> Function:
    if not callable(function):
        raise HookError(hook, f"{text} is {function!r}, which cannot be called")
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        takes = inspect.signature(function)
        raise HookError(
            hook, f"{text} takes {takes}, and is called with one argument, which has pool, slot, pid and generation"
        ) from None
    except ValueError:  # a function of C that does not tell
        return function
    return function
