"""The settings file that a moved service has, and the report on it, as texts.

Can go wrong: nothing.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from forkful.conf.moving.hooks import HOOKS
from forkful.conf.moving.table import Verdict
from forkful.conf.moving.translate import Moved, Remark, hidden
from forkful.conf.option import Scope
from forkful.conf.options import of

_TITLES = {
    Verdict.SAME: "The same here",
    Verdict.BETTER: "Better here",
    Verdict.NONE: "No counterpart",
}


def settings_file(moved: Moved, said: Sequence[str]) -> str:
    """The file in TOML. `said`: the words that Gunicorn was started with."""
    started = f" {shlex.join(said)}" if said else ""
    lines = [
        f"# Written by: forkful migrate gunicorn{started}".replace("\n", " "),
        "# After a change: forkful check -c FILE, then forkful reload. Every key: deploy/reference/settings.md.",
    ]
    lines += _section("[master]", Scope.MASTER, moved.master)
    lines += _section("[admin]", Scope.ADMIN, moved.admin)
    lines += _section("[pool.main]", Scope.POOL, moved.pool)
    lines += _hooks(moved)
    return "\n".join([*lines, ""])


def _section(title: str, scope: Scope, values: Mapping[str, Any]) -> Iterator[str]:  # Any: what TOML takes
    if values:
        yield ""
        yield title
        yield from (f"{key} = {toml(values[key])}" for key in of(scope) if key in values)


def toml(value: object) -> str:
    """JSON's texts, numbers, lists and words are TOML's, but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _hooks(moved: Moved) -> Iterator[str]:
    """As comments: who moves them makes functions of one argument of them, or programs."""
    for command, title, value in (
        (
            False,
            "in a worker: functions with one argument (deploy/reference/hooks.md)\n# [pool.main.hooks]",
            "MODULE:{}",
        ),
        (True, "in the master: programs, under [master]", "PROGRAM ARGUMENT"),
    ):
        names = [name for name in moved.hooks if HOOKS[name].command is command]
        if names:
            yield f"\n# What was called {title}"
            yield from (
                f'# {moved.hooks[name]} = "{value.format(name)}"  # {HOOKS[name].when}, in place of {name}'
                for name in names
            )


def report(moved: Moved, ignored: Sequence[str], place: str) -> str:
    """Setting by setting, what became of it."""
    lines: list[str] = []
    for verdict, title in _TITLES.items():
        remarks = [remark for remark in moved.remarks if remark.verdict is verdict]
        if remarks:
            lines += [f"{title}:", *map(_line, remarks), ""]
    if moved.environment:
        lines += ["For whoever starts the service (the unit's Environment=, or ENV of the image):"]
        lines += [f"  {name}={hidden(name, value)}" for name, value in moved.environment.items()]
        lines += [""]
    if ignored:
        lines += [f"No settings of Gunicorn, which ignores them: {', '.join(ignored)}", ""]
    if moved.todo:
        lines += ["Left to do:", *(f"  {one}" for one in moved.todo), ""]
    lines += [f"Next: forkful check -c {place} --import, then forkful serve -c {place}"]
    return "\n".join(lines)


def _line(remark: Remark) -> str:
    ours = f" -> {remark.ours}" if remark.ours else ""
    told = f": {remark.told}" if remark.told else ""
    return f"  {remark.name} = {remark.value} ({remark.place}){ours}{told}"
