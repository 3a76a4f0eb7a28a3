"""Gunicorn's settings file, executed as Gunicorn would, in a process of its own: `python -P -m ...execute LOCATION`.

`class:NAME` in the place of a file asks what a class of workers descends from.

Prints what came of it as JSON: {"values", "ignored", "environ", "path", "file"}. What cannot cross as JSON is told by
what it is: {"callable": NAME}, {"class": NAME, "bases": [...]}, {"other": TYPE}.
Can go wrong: whatever such a file does. It raises, it leaves by `sys.exit`, it needs a variable: {"error",
"traceback"}; it prints: that goes to standard error.
"""

import importlib
import importlib.machinery
import importlib.util
import inspect
import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final

from forkful.conf.moving.table import BY_NAME

CONFIG: Final = "__config__"  # the name under which Gunicorn executes it


def values_of(location: str) -> dict[str, Any]:  # Any: what JSON takes
    """Execute a file (`PATH`, `file:PATH`) or import a module (`python:MODULE`), from the current directory."""
    before, path = dict(os.environ), [*sys.path]
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = _executed(location)
    except SystemExit as left:
        return {"error": f"it ended with sys.exit({left.code!r}) and said no settings", "traceback": ""}
    except BaseException as error:  # noqa: BLE001  # whatever it raises
        return {"error": _words(error), "traceback": _shown(error)}
    said = vars(module)
    file = str(getattr(module, "__file__", "") or "")
    return {
        "values": {name: _plain(said[name]) for name in said if name in BY_NAME and said[name] is not None},
        "ignored": sorted(name for name, value in said.items() if _looks_like_a_setting(name, value)),
        "environ": {name: value for name, value in os.environ.items() if before.get(name) != value},
        "path": [entry for entry in sys.path if entry not in path and entry != str(Path.cwd())],
        "file": file,
    }


def _executed(location: str) -> ModuleType:
    if location.startswith("python:"):
        return importlib.import_module(location.removeprefix("python:"))
    path = location.removeprefix("file:")
    loader = None if path.endswith((".py", ".pyc")) else importlib.machinery.SourceFileLoader(CONFIG, path)
    spec = importlib.util.spec_from_file_location(CONFIG, path, loader=loader)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[CONFIG] = module
    spec.loader.exec_module(module)
    return module


def class_of(name: str) -> dict[str, Any]:
    """A class of workers of one's own, which Gunicorn would import, too; nothing where that cannot be done."""
    module, _, attribute = name.rpartition(".")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except BaseException:  # noqa: BLE001  # whatever it raises; Gunicorn would tell
        return {}
    return {"class": _plain(found)} if isinstance(found, type) else {}


def _plain(value: object) -> Any:  # Any: what JSON takes
    match value:
        case bool() | float() | None:
            return value
        case int():
            return int(value)  # not the name that an enumeration gives it
        case str():
            return str(value)
        case list() | tuple() | set() | frozenset():
            return [_plain(each) for each in value]
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case type():
            return {"class": _dotted(value), "bases": [_dotted(base) for base in value.__mro__[1:-1]]}
        case _ if callable(value):
            return {"callable": getattr(value, "__name__", type(value).__name__)}
        case _:
            return {"other": type(value).__name__}


def _dotted(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _looks_like_a_setting(name: str, value: object) -> bool:
    plain = isinstance(value, bool | int | float | str) and not name.startswith("_") and name == name.lower()
    return plain and name not in BY_NAME


def _words(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, KeyError) and frames and frames[-1].filename in {os.__file__, "<frozen os>"}:
        name = error.args[0]
        return f"it needs the variable {name}; set it as the service has it, like {name}=... forkful migrate gunicorn"
    if isinstance(error, SyntaxError):
        where = f" in line {error.lineno}" if error.lineno else ""
        return f"it is not Python: {error.msg}{where}"
    return f"it raises {type(error).__name__}: {error}"


def _shown(error: BaseException) -> str:
    """The traceback, from where the file itself begins."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and _is_machinery(inspect.getfile(trace)):
        trace = trace.tb_next
    if trace is None and not isinstance(error, SyntaxError):
        return ""
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


def _is_machinery(file: str) -> bool:
    return file == __file__ or file.startswith("<frozen importlib") or os.path.dirname(file) == _IMPORTLIB  # noqa: PTH120  # texts


_IMPORTLIB: Final = os.path.dirname(importlib.__file__)  # noqa: PTH120  # as above


def main(location: str) -> None:
    answer = os.dup(1)
    os.dup2(2, 1)  # what the file prints must not be taken for the answer
    said = json.dumps(
        class_of(location.removeprefix("class:")) if location.startswith("class:") else values_of(location)
    )
    sys.stdout.flush()
    with open(answer, "w", encoding="utf-8") as out:  # noqa: PTH123  # a descriptor
        out.write(said)


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stderr.flush()
    os._exit(0)  # threads and exit hooks that the file may have left have no say
