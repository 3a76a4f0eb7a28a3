"""Where a settings file of Gunicorn's has its values from: variables of the environment, the number of CPUs.

A value that was written down today was made from these, and may be another one elsewhere: so it is told. As far as
plain assignments go, through other names of the same file.
Can go wrong: text that is no Python says nothing.
"""

import ast
from collections.abc import Iterator
from dataclasses import field
from typing import Final

from forkful.conf.light import dataclass

_COUNTS: Final = frozenset({"cpu_count", "sched_getaffinity", "process_cpu_count"})
_READS: Final = frozenset({"getenv", "get", "environ", "env", "config", "int", "bool"})


@dataclass(slots=True)
class Origin:
    """What a value was made from."""

    variables: set[str] = field(default_factory=set)
    cpus: bool = False


def origins(text: str) -> dict[str, Origin]:
    """By name, of those names that were made from one or the other."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return {}
    known: dict[str, Origin] = {}
    for name, value in _assignments(tree):
        origin = known.setdefault(name, Origin())
        for node in ast.walk(value):
            match node:
                case ast.Name(id=other) if other in known and other != name:
                    origin.variables |= known[other].variables
                    origin.cpus |= known[other].cpus
                case ast.Attribute(attr=attr) if attr in _COUNTS:
                    origin.cpus = True
                case ast.Name(id=function) if function in _COUNTS:
                    origin.cpus = True
        origin.variables |= {*_variables(value)}
    return {name: origin for name, origin in known.items() if origin.variables or origin.cpus}


def unread(text: str) -> set[str]:
    """Names that are assigned and never read again: who wrote them took them for settings."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return set()
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return {name for name, _ in _assignments(tree)} - read


def _variables(value: ast.AST) -> Iterator[str]:
    """Names of variables that an expression reads: `os.environ["X"]`, `os.getenv("X")`, `env("X")` and their kin."""
    for node in ast.walk(value):
        match node:
            case ast.Subscript(value=of, slice=ast.Constant(value=str(name))) if _last(of) == "environ":
                yield name
            case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]) if name.isupper():
                if _last(function) in _READS:
                    yield name


def _last(node: ast.expr) -> str:
    match node:
        case ast.Attribute(attr=attr):
            return attr
        case ast.Name(id=name):
            return name
        case _:
            return ""


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value):
                yield from ((target.id, value) for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case ast.AugAssign(target=ast.Name(id=name), value=value):
                yield name, value
