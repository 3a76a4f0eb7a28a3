"""The source of a handler: what it is, as far as that can be read without importing it.

An address without a scheme (`HOST:PORT`) needs to know whether connections or datagrams come. To import the module only
to ask would do twice what it does when it is imported. So its text is read, and that of what it stands on, as far as
plain statements go: classes and their bases, functions and their parameters, imports, calls.
Can go wrong: it says too little (a decorator, a name that is bound twice, `exec`): then nobody is told anything.
"""

import ast
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forkful.handlers.kinds import CONNECTION, DATAGRAM, ENVIRON, HTTP, PACKET, STREAM
from forkful.handlers.load import Reference

#: Where a class that descends from one of these belongs; the nearest counts.
_ROOTS = {
    ("socketserver", "DatagramRequestHandler"): DATAGRAM,
    ("socketserver", "BaseRequestHandler"): STREAM,
    ("socketserver", "UDPServer"): DATAGRAM,
    ("socketserver", "TCPServer"): STREAM,
    ("asyncio.protocols", "DatagramProtocol"): DATAGRAM,
    ("asyncio.protocols", "BaseProtocol"): STREAM,
}
_NEUTRAL = frozenset({"object", "ABC"})
_PACKAGE = "__init__.py"
_DEPTH = 40  # steps from name to name; programs need a few
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class _Found:
    """A definition and its module; `made`: what calling it gives, not itself."""

    module: "_Module"
    node: ast.ClassDef | _Function
    made: bool = False


@dataclass(slots=True)
class _Module:
    """The statements of a module's top level that bind names, by name."""

    name: str
    is_package: bool
    bound: dict[str, list[ast.stmt]] = field(default_factory=dict)
    stars: list[ast.ImportFrom] = field(default_factory=list)

    @property
    def package(self) -> str:
        return self.name if self.is_package else self.name.rpartition(".")[0]


class _UnknownError(Exception):
    """The source does not say it."""


def kind_of(reference: Reference) -> str:
    """`stream`, `datagram` or `http`; "" where the source does not say it."""
    try:
        reader = _Reader()
        first, *rest = reference.attribute.split(".")
        if rest:
            return ""
        found = reader.look_up(reader.module(reference.module), first)
        return reader.kind(_call(found) if reference.call else found)
    except (_UnknownError, RecursionError):
        return ""


def _call(found: _Found) -> _Found:
    if found.made:
        raise _UnknownError
    return _Found(found.module, found.node, made=True)


class _Reader:
    """Reads each module once."""

    def __init__(self) -> None:
        self._modules: dict[str, _Module] = {}
        self._steps = 0

    # -- modules and names -------------------------------------------------------------------------------------------

    def module(self, name: str) -> _Module:
        if name not in self._modules:
            file, is_package = _file_of(name)
            try:
                tree = ast.parse(file.read_bytes())
            except (OSError, SyntaxError, ValueError) as error:
                raise _UnknownError from error
            self._modules[name] = found = _Module(name, is_package)
            for statement in _statements(tree.body):
                if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                    found.stars.append(statement)
                for bound in _names(statement):
                    found.bound.setdefault(bound, []).append(statement)
        return self._modules[name]

    def look_up(self, module: _Module, name: str) -> _Found:
        """What a name of a module is bound to."""
        self._steps += 1
        statements = module.bound.get(name, [])
        if self._steps > _DEPTH * 10 or len(statements) > 1:
            raise _UnknownError
        if not statements:
            return self._through_stars(module, name)
        match statements[0]:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() as node:
                return _Found(module, node)
            case ast.ImportFrom() as statement:
                (alias,) = (each for each in statement.names if (each.asname or each.name) == name)
                return self.look_up(self.module(_origin(module, statement)), alias.name)
            case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
                return self.evaluate(module, value)
        raise _UnknownError

    def _through_stars(self, module: _Module, name: str) -> _Found:
        for statement in module.stars:
            with contextlib.suppress(_UnknownError):
                return self.look_up(self.module(_origin(module, statement)), name)
        raise _UnknownError

    def evaluate(self, module: _Module, value: ast.expr) -> _Found:
        match value:
            case ast.Name(id=name):
                return self.look_up(module, name)
            case ast.Attribute(value=owner, attr=name):
                return self.look_up(self.module(self._module_named(module, owner)), name)
            case ast.Call(func=function):
                found = self.evaluate(module, function)
                return _call(found) if isinstance(found.node, ast.ClassDef) else self._returned(found)
        raise _UnknownError

    def _module_named(self, module: _Module, owner: ast.expr) -> str:
        """The whole name of a module that an expression like `http.server` means."""
        parts = ast.unparse(owner).split(".")
        for statement in module.bound.get(parts[0], []):
            match statement:
                case ast.Import(names=names):
                    for alias in names:
                        if alias.asname == parts[0]:
                            return ".".join([alias.name, *parts[1:]])
                        if not alias.asname and alias.name.split(".")[0] == parts[0]:
                            return ".".join(parts)
                case ast.ImportFrom(names=names):
                    for alias in names:
                        if (alias.asname or alias.name) == parts[0]:
                            return ".".join([_origin(module, statement), alias.name, *parts[1:]])
        raise _UnknownError

    def _returned(self, found: _Found) -> _Found:
        """What a function returns, if it returns one thing, of names of its module."""
        function = found.node
        if found.made or not isinstance(function, ast.FunctionDef) or function.decorator_list:
            raise _UnknownError
        inside = [*ast.walk(function)]
        values = [node.value for node in inside if isinstance(node, ast.Return)]
        if len(values) != 1 or (value := values[0]) is None:
            raise _UnknownError
        local = {node.arg for node in inside if isinstance(node, ast.arg)}
        for node in inside:
            if isinstance(node, ast.stmt) and node is not function:
                local.update(_names(node))
        called = value.func if isinstance(value, ast.Call) else value
        if {node.id for node in ast.walk(called) if isinstance(node, ast.Name)} & local:
            raise _UnknownError
        return self.evaluate(found.module, value)

    # -- kinds -------------------------------------------------------------------------------------------------------

    def kind(self, found: _Found) -> str:
        if isinstance(found.node, ast.ClassDef):
            return self._class(found)
        if found.made:
            return self.kind(self._returned(_Found(found.module, found.node)))
        return self._function(found, _parameters(found.node))

    def _class(self, found: _Found) -> str:
        assert isinstance(found.node, ast.ClassDef)
        if found.node.decorator_list or found.node.keywords:
            raise _UnknownError
        ancestry = [*self._ancestors(found)]
        for ancestor in ancestry:
            assert isinstance(ancestor.node, ast.ClassDef)
            kind = _ROOTS.get((ancestor.module.name, ancestor.node.name))
            if kind is not None:
                return kind
            if "socket_type" in {name for statement in ancestor.node.body for name in _names(statement)}:
                raise _UnknownError
        method = "__call__" if found.made else "__init__"
        for ancestor in ancestry:
            assert isinstance(ancestor.node, ast.ClassDef)
            for node in ancestor.node.body:
                if isinstance(node, _Function) and node.name == method:
                    names = _parameters(node)[1:]
                    if found.made or (names and names[0] in CONNECTION | ENVIRON | PACKET):
                        return self._function(_Found(ancestor.module, node), names)
                    raise _UnknownError
        raise _UnknownError

    def _ancestors(self, found: _Found) -> Iterator[_Found]:
        """Itself and those it descends from, the nearest first."""
        line = [found]
        for _ in range(_DEPTH):
            if not line:
                return
            one = line.pop(0)
            yield one
            assert isinstance(one.node, ast.ClassDef)
            for base in one.node.bases:
                if isinstance(base, ast.Subscript) or ast.unparse(base).rpartition(".")[2] in _NEUTRAL:
                    continue
                parent = self.evaluate(one.module, base)
                if parent.made or not isinstance(parent.node, ast.ClassDef):
                    raise _UnknownError
                line.append(parent)

    def _function(self, found: _Found, names: Sequence[str]) -> str:
        """As `kinds` tells functions apart."""
        node = found.node
        if node.decorator_list or isinstance(node, ast.ClassDef):
            raise _UnknownError
        if not names and isinstance(node, ast.FunctionDef) and node.name not in {"__call__", "__init__"}:
            return self.kind(self._returned(found))
        if len(names) == len(("scope", "receive", "send")) or tuple(names[:1]) == ("scope",):
            return HTTP
        if len(names) != len(("environ", "start_response")):
            raise _UnknownError
        if isinstance(node, ast.AsyncFunctionDef) or tuple(names) == ("reader", "writer"):
            return STREAM
        if names[0] in ENVIRON or names[1].startswith("start"):
            return HTTP
        for known, kind in ((CONNECTION, STREAM), (PACKET, DATAGRAM)):
            if names[0] in known:
                return kind
        raise _UnknownError


def _file_of(name: str) -> tuple[Path, bool]:
    """The file of a module, and whether it is a package: found as an import finds it, but for running what is above."""
    first, *rest = name.split(".")
    finders = (finder.find_spec(first, None) for finder in sys.meta_path)
    spec = next((spec for spec in finders if spec is not None), None)
    if spec is None:
        raise _UnknownError
    file, folders = Path(spec.origin or ""), [Path(each) for each in spec.submodule_search_locations or ()]
    for part in rest:
        places = [folder / part for folder in folders]
        file = next(
            filter(Path.is_file, (each for x in places for each in (x / _PACKAGE, x.with_suffix(".py")))), Path()
        )
        folders = [place for place in places if place.is_dir()]
    if file.suffix != ".py":
        raise _UnknownError
    return file, file.name == _PACKAGE


def _origin(module: _Module, statement: ast.ImportFrom) -> str:
    """The module that `from ... import` names."""
    if not statement.level:
        return statement.module or ""
    parts = module.package.split(".")
    base = parts[: len(parts) - statement.level + 1]
    return ".".join([*base, *([statement.module] if statement.module else [])])


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a top level, also within `if`, `try` and `with`."""
    for statement in body:
        match statement:
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
                continue
            case ast.If() | ast.Try() | ast.With() | ast.For() | ast.While():
                for part in ("body", "orelse", "finalbody"):
                    yield from _statements(getattr(statement, part, []))
                for handler in getattr(statement, "handlers", []):
                    yield from _statements(handler.body)
            case _:
                yield statement


def _names(statement: ast.stmt) -> Iterator[str]:
    """What a statement binds."""
    match statement:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name
        case ast.Import(names=names):
            yield from (alias.asname or alias.name.split(".")[0] for alias in names)
        case ast.ImportFrom(names=names):
            yield from (alias.asname or alias.name for alias in names)
        case ast.Assign(targets=targets):
            for target in targets:
                yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.AugAssign(target=ast.Name(id=name)):
            yield name


def _parameters(function: _Function) -> tuple[str, ...]:
    """The positional ones without a default."""
    arguments = function.args
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    if arguments.vararg is not None and not names:
        raise _UnknownError
    return tuple(names[: len(names) - len(arguments.defaults)])
