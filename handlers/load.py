"""Loading: from `module:attribute` to the object that is to be served.

Can go wrong: everything the user's code can do while it is imported or called. All of it becomes a `LoadError`, whose
message says what would be right and whose traceback shows the user's frames only.
"""

import ast
import difflib
import importlib
import pkgutil
import re
import socketserver
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from forkful.handlers.binding import late_binding, release

_TEXT = re.compile(
    r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<attribute>[^\W\d]\w*(?:\.[^\W\d]\w*)*)(?P<call>\(.*\))?"
)
_OURS = (__file__, "<frozen importlib", importlib.__file__)  # frames that tell a user nothing


class LoadError(Exception):
    """The handler could not be loaded. `traceback` is text, empty where the message says it all."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.traceback = trace


@dataclass(frozen=True, slots=True)
class Reference:
    """A handler as the operator wrote it: `module:attribute`, or with `call`, `module:attribute(literals)`."""

    text: str
    module: str
    attribute: str
    call: bool = False
    args: tuple[Any, ...] = ()  # Any: literals of any type
    kwargs: tuple[tuple[str, Any], ...] = ()


def parse(text: str) -> Reference:
    """Read `module:attribute` or `module:attribute(literal, key=literal)`; raise `LoadError`."""
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        hint = f"; write {text}:NAME" if re.fullmatch(r"[\w.]+", text) else ""
        raise LoadError(f"{text!r} is no handler: expected module:attribute, like chat:ChatHandler or app:make(){hint}")
    if match["call"] is None:
        return Reference(text, match["module"], match["attribute"])
    try:
        expression = ast.parse(f"f{match['call']}", mode="eval").body
        args, kwargs = _arguments(expression)
    except (ValueError, SyntaxError):
        raise LoadError(f"{text!r}: a call may have literal arguments only, like app:make('fast', size=3)") from None
    return Reference(text, match["module"], match["attribute"], True, args, kwargs)


def _arguments(expression: ast.expr) -> tuple[tuple[Any, ...], tuple[tuple[str, Any], ...]]:
    """The literals of one call; raise `ValueError` for anything else."""
    match expression:
        case ast.Call(func=ast.Name(), args=args, keywords=keywords) if all(keyword.arg for keyword in keywords):
            kwargs = ((str(keyword.arg), ast.literal_eval(keyword.value)) for keyword in keywords)
            return tuple(ast.literal_eval(argument) for argument in args), tuple(kwargs)
    raise ValueError("not one call with literals")


def prepare_path(directory: str) -> None:
    """Put the working directory first on the module search path, as `python -m` does."""
    if directory not in sys.path[:1]:
        sys.path.insert(0, directory)


def preload(text: str) -> object:
    """Import the handler's module and return what it names; None where that would take a call. For the mold."""
    reference = parse(text)
    with late_binding():
        target = _resolve(reference, _import(reference))
    if reference.call:
        return None
    if isinstance(target, socketserver.BaseServer):
        release(target)  # or the mold would hold what it has bound by itself, and serve nobody
    return target


def load(text: str) -> object:
    """Import, resolve and call where the text says so; what comes out is to be classified by `kinds`."""
    reference = parse(text)
    with late_binding():
        target = _resolve(reference, _import(reference))
        return call(text, target, *reference.args, **dict(reference.kwargs)) if reference.call else target


def call(text: str, factory: Any, *args: Any, **kwargs: Any) -> Any:  # Any: the user's factory, whatever it takes
    """Call a factory of the user's, without letting a server it makes bind; what it raises is a `LoadError`."""
    if not callable(factory):
        raise LoadError(f"{text!r}: {factory!r} cannot be called; leave out the parentheses")
    with late_binding():
        try:
            return factory(*args, **kwargs)
        except (Exception, SystemExit) as error:
            raise LoadError(f"{text!r}: the call failed: {describe(error)}", trim(error)) from error


def _import(reference: Reference) -> ModuleType:
    try:
        return importlib.import_module(reference.module)
    except ModuleNotFoundError as error:
        if error.name and f"{reference.module}.".startswith(f"{error.name}."):
            raise LoadError(_missing(reference, error.name)) from None
        raise LoadError(f"{reference.module}: importing it failed: {describe(error)}", trim(error)) from error
    except (Exception, SystemExit) as error:
        raise LoadError(f"{reference.module}: importing it failed: {describe(error)}", trim(error)) from error


def _missing(reference: Reference, name: str) -> str:
    parent, _, last = name.rpartition(".")
    paths = getattr(sys.modules.get(parent), "__path__", None) if parent else sys.path[:1]
    if paths is None:
        return f"{reference.text!r}: {parent} is a module, not a package: it has no module {last!r}"
    near = _nearest(last, (module.name for module in pkgutil.iter_modules(paths)))
    return f"{reference.text!r}: there is no module {name!r}{near} (looked in {sys.path[0] or Path.cwd()} first)"


def _resolve(reference: Reference, module: ModuleType) -> object:
    target: object = module
    said = reference.module
    for name in reference.attribute.split("."):
        try:
            target = getattr(target, name)
        except AttributeError as error:
            if f"has no attribute {name!r}" not in str(error):  # raised inside a property or a module's __getattr__
                raise LoadError(f"{said}.{name} failed: {describe(error)}", trim(error)) from error
            near = _nearest(name, (each for each in dir(target) if not each.startswith("_")))
            raise LoadError(f"{reference.text!r}: {said} has no attribute {name!r}{near}") from None
        except (Exception, SystemExit) as error:
            raise LoadError(f"{said}.{name} failed: {describe(error)}", trim(error)) from error
        said = f"{said}.{name}"
    return target


def _nearest(name: str, candidates: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(candidates), n=3)
    return f"; is it {' or '.join(near)}?" if near else ""


def describe(error: BaseException) -> str:
    """One line: the exception's type and message."""
    return traceback.format_exception_only(error)[-1].strip()


def trim(error: BaseException) -> str:
    """The traceback as text, from the first frame that is the user's."""
    report = traceback.TracebackException.from_exception(error)
    link: traceback.TracebackException | None = report
    while link is not None:
        link.stack = traceback.StackSummary.from_list(f for f in link.stack if not f.filename.startswith(_OURS))
        link = link.__cause__ or link.__context__
    return "".join(report.format())
