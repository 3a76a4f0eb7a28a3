"""What a Gunicorn was started with: its file, `GUNICORN_CMD_ARGS`, its command line, laid over each other as it does.

The parser is made from the table, so that flags are read as Gunicorn reads them, abbreviations included. The file is
executed in a process of its own (`execute`).
Can go wrong: a flag that Gunicorn does not have, a file that does not exist, or that fails: `Mistakes`.
"""

import argparse
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Final, NoReturn

from forkful.conf.light import dataclass
from forkful.conf.mistakes import Mistake, Mistakes
from forkful.conf.moving.table import ROWS, Row, Shape
from forkful.conf.moving.workers import is_own

CLASS: Final = "class:"  # before the name of a class of workers
DEFAULT_FILE: Final = "./gunicorn.conf.py"
VARIABLE: Final = "GUNICORN_CMD_ARGS"
_COMMAND_LINE = "the command line"
_PATIENCE = 60.0  # seconds for the file
_STARTERS = frozenset({"exec", "-m", "env", "--"})
_ASSIGNED = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True, slots=True)
class Found:
    """A value, raw, and the place where it was said."""

    value: Any  # Any: whatever a file of Python has, as far as it is JSON
    place: str


@dataclass(slots=True)
class Source:
    """All that was said, by Gunicorn's names, and what the file did beside it."""

    said: dict[str, Found] = field(default_factory=dict)
    file: str = ""
    ignored: list[str] = field(default_factory=list)  # names that are none of its settings
    environ: dict[str, str] = field(default_factory=dict)  # what it set
    path: list[str] = field(default_factory=list)  # what it put on the path of imports
    wrapper: list[str] = field(default_factory=list)  # the program that started Gunicorn
    cwd: str = ""  # where it was started


def gather(words: Sequence[str], environ: Mapping[str, str], cwd: Path) -> Source:
    """Read all of it. Raises `Mistakes`."""
    assigned, wrapper, rest = _unwrapped(words)
    environ = {**environ, **assigned}
    given, module = _parsed(rest, _COMMAND_LINE)
    if module.endswith(".py") or module.startswith("file:"):  # a file in the place of the application
        given.setdefault("config", module)
        module = ""
    from_variable, _ = _parsed(_split(environ.get(VARIABLE, ""), VARIABLE), VARIABLE)
    source = Source(wrapper=wrapper, cwd=str(cwd))
    _add_variables(source, environ)
    named = given.get("config") or from_variable.get("config")
    if named or (cwd / DEFAULT_FILE).is_file():
        _add_file(source, str(named or DEFAULT_FILE), environ, cwd)
    source.environ = {name: value for name, value in assigned.items() if name != VARIABLE} | source.environ
    source.said |= {name: Found(value, VARIABLE) for name, value in from_variable.items() if name != "config"}
    source.said |= {name: Found(value, "command line") for name, value in given.items() if name != "config"}
    kind = source.said.get("worker_class")
    if kind is not None and isinstance(kind.value, str) and is_own(kind.value):
        found = _executed(f"{CLASS}{kind.value}", environ, cwd)
        source.said["worker_class"] = Found(found.get("class") or kind.value, kind.place)
    if module:
        source.said["wsgi_app"] = Found(module, "command line")
    return source


# -- the command line --------------------------------------------------------------------------------------------------


def _unwrapped(words: Sequence[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Before the word `gunicorn`: variables, as env(1) takes them, and programs that start it. And what follows."""
    if words[:1] == ["--"]:
        words = words[1:]
    if len(words) == 1 and " " in words[0]:
        words = _split(words[0], _COMMAND_LINE)
    for index, word in enumerate(words):
        if word.rpartition("/")[2] in {"gunicorn", "gunicorn3"}:
            before = [each for each in words[:index] if each not in _STARTERS and not _is_python(each)]
            assigned = {word: word.split("=", 1) for word in before if _ASSIGNED.match(word)}
            wrapper = [word for word in before if word not in assigned]
            return dict(assigned.values()), wrapper, [*words[index + 1 :]]
    return {}, [], [*words]


def _split(text: str, place: str) -> list[str]:
    """As a shell does."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Mistakes([Mistake(place, f"cannot be split into words: {error}", "look at its quotes")]) from None


def _is_python(word: str) -> bool:
    return re.fullmatch(r"python[0-9.]*", word.rpartition("/")[2]) is not None


class _Parser(argparse.ArgumentParser):
    """Whose errors are ours."""

    place = ""

    def error(self, message: str) -> NoReturn:
        hint = "give what Gunicorn is started with: its flags, and MODULE:APP"
        raise Mistakes([Mistake(self.place, f"Gunicorn does not take this: {message}", hint)])


def _parsed(words: Sequence[str], place: str) -> tuple[dict[str, Any], str]:
    """What was said, by name, and the application."""
    parser = _Parser(add_help=False, usage="gunicorn")
    parser.place = place
    parser.add_argument("args", nargs="*")
    for row in ROWS:
        if row.flags:
            parser.add_argument(*row.flags, dest=row.name, default=None, **_taking(row))
    found = vars(parser.parse_args([*words]))
    args = found.pop("args")
    return {name: value for name, value in found.items() if value is not None}, args[0] if args else ""


def _taking(row: Row) -> dict[str, Any]:  # Any: argparse's
    match row.shape:
        case Shape.COUNT if row.name != "cert_reqs":
            return {"type": int}
        case Shape.OCTAL:
            return {"type": octal}
        case Shape.SWITCH:
            return {"action": "store_true"}
        case Shape.OFF:
            return {"action": "store_const", "const": False}
        case Shape.LIST:
            return {"action": "append"}
        case Shape.MAYBE:
            return {"nargs": "?", "const": "auto"}
        case _:
            return {"type": str}


def octal(text: str) -> int:
    """A number as Gunicorn reads a mode: 0022 and 0o22 are octal, 22 is not."""
    return int(re.sub(r"^0(?=\d)", "0o", text), 0)


# -- the environment and the file --------------------------------------------------------------------------------------


def _add_variables(source: Source, environ: Mapping[str, str]) -> None:
    """What Gunicorn takes for its defaults; but `PORT` and `WEB_CONCURRENCY`, which are heeded here, too."""
    if trusted := environ.get("FORWARDED_ALLOW_IPS"):
        source.said["forwarded_allow_ips"] = Found(trusted, "FORWARDED_ALLOW_IPS")


def _add_file(source: Source, location: str, environ: Mapping[str, str], cwd: Path) -> None:
    if not location.startswith("python:") and not (cwd / location.removeprefix("file:")).is_file():
        raise Mistakes([Mistake(location, "there is no such file", "give Gunicorn's settings file, or its flags")])
    found = _executed(location, environ, cwd)
    if "error" in found:
        trace = f"\n{found['traceback']}" if found["traceback"] else ""
        raise Mistakes([Mistake(location, f"cannot be executed: {found['error']}{trace}")])
    source.file = found["file"] or location
    source.said |= {name: Found(value, location) for name, value in found["values"].items()}
    source.ignored, source.environ, source.path = found["ignored"], found["environ"], found["path"]


def _executed(location: str, environ: Mapping[str, str], cwd: Path) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "forkful.conf.moving.execute", location]
    try:
        answer = subprocess.run(  # noqa: S603
            command,
            cwd=cwd,
            env={**environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"it took longer than {_PATIENCE:g} seconds", "traceback": ""}
    try:
        found: dict[str, Any] = json.loads(answer.stdout)
    except ValueError:
        code = answer.returncode
        died = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return {"error": f"its process {died} and said nothing", "traceback": ""}
    return found
