"""Hook names: at which moments a pool may have functions called, and what the setting `hooks` says of them.

    hooks = "module"                                          the functions of these names in that module
    [pool.NAME.hooks]                                         or each by itself, one or several
    post_fork = "module:function"
    worker_exit = ["metrics:flush", "db:close"]

As a flag or a variable: `module` or `post_fork=module:function`.
Can go wrong: a moment that there is not, or no function: `HookNameError`, with what would be right.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from forkful.conf.mistakes import nearest

#: In the order of a worker's life.
NAMES = ("on_load", "post_fork", "worker_ready", "worker_drain", "worker_exit")
#: Other words for them; the second is Gunicorn's.
ALIASES: Mapping[str, str] = {"worker_start": "post_fork", "post_worker_init": "worker_ready"}

_COMMAND = "the master runs no code but a command: write {} under [master]"
#: Gunicorn's hooks that are none here, and what to do instead.
ELSEWHERE: Mapping[str, str] = {
    "on_starting": "the master runs no code; what prepares the start belongs before forkful in the service manager",
    "when_ready": _COMMAND.format("on_ready"),
    "on_ready": _COMMAND.format("on_ready"),
    "on_reload": _COMMAND.format("on_reload"),
    "on_exit": _COMMAND.format("on_stop"),
    "on_stop": _COMMAND.format("on_stop"),
    "child_exit": _COMMAND.format("on_worker_lost"),
    "on_worker_lost": _COMMAND.format("on_worker_lost"),
    "pre_fork": "the master runs no code; write on_load or post_fork",
    "pre_exec": "the master runs no code; an upgrade tells on_reload under [master]",
    "pre_request": "a WSGI or ASGI middleware sees every request",
    "post_request": "a WSGI or ASGI middleware sees every request",
    "worker_int": "worker_drain is called instead",
    "worker_abort": "the stacks are in the log, and on_worker_lost under [master] is told",
    "nworkers_changed": "forkful_workers_target on /metrics tells it",
}

_FUNCTION = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_RIGHT = 'a module, like "hooks", or a table of functions, like { post_fork = "hooks:connect" }'

Said = tuple[str, str]  # a moment and `module:function`; or "" and the module that has the functions


class HookNameError(ValueError):
    """This is no hook; the message says what would be right."""


def parse(value: object) -> tuple[Said, ...]:
    """What was said, each function by itself. Raises `HookNameError`."""
    found: list[Said] = []
    for each in value if isinstance(value, list | tuple) else [value]:
        match each:
            case dict():
                found += _table(each)
            case "":
                continue
            case str() if "=" in each:
                name, _, function = each.partition("=")
                found.append(_said(name.strip(), function.strip()))
            case str() if _MODULE.fullmatch(each):
                found.append(("", each))
            case (str(name), str(text)):  # as a plan has it
                found.append((name, text))
            case _:
                raise HookNameError(f"{each!r} is not {_RIGHT}")
    return tuple(found)


def as_toml(said: Sequence[Said]) -> str:
    """As it can be written in a settings file."""
    modules = [json.dumps(function) for name, function in said if not name]
    by_moment = {moment: [function for name, function in said if name == moment] for moment in NAMES}
    hooks = [f"{name} = {json.dumps(functions)}" for name, functions in by_moment.items() if functions]
    parts = [*modules, *([f"{{ {', '.join(hooks)} }}"] if hooks else [])]
    return parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"


def _table(table: Mapping[object, object]) -> Iterator[Said]:
    for name, value in table.items():
        for function in value if isinstance(value, list) else [value]:
            yield _said(str(name), function)


def _said(name: str, function: object) -> Said:
    known = ALIASES.get(name, name)
    if known not in NAMES:
        hint = ELSEWHERE.get(name) or nearest(name, [*NAMES, *ALIASES]) or f"there are {', '.join(NAMES)}"
        raise HookNameError(f"there is no hook {name!r}; {hint}")
    if not isinstance(function, str) or not _FUNCTION.fullmatch(function):
        raise HookNameError(f'{name}: {function!r} is no function; write it as "module:function"')
    return known, function
