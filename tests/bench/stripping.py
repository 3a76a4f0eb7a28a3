"""Stripping: the worker's loops without their writes to the scoreboard, so that what these cost can be measured.

Product code has no switch for it: a bench-only import hook (`unmetered/sitecustomize.py`) rewrites the two modules of
the hot path as they are imported. `strip` is pure.
Can go wrong: the modules no longer write to something called `row`: `StrippingError`, rather than a cost of nothing.
"""

import ast
import sys
from collections.abc import Sequence
from enum import Enum
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType

MODULES = frozenset({"forkful.worker.blocking.stream", "forkful.worker.blocking.datagram"})
ROWS = frozenset({"row", "_row"})
PURE = frozenset({"monotonic_ns", "len", "bisect_left", "bucket"})  # calls that only a write was made for


class What(Enum):
    """What to leave out."""

    WRITES = "writes"
    ALL = "all"  # and the clock readings and sums that only fed the writes


class StrippingError(RuntimeError):
    """There was nothing to strip."""


def strip(source: str, what: What) -> ast.Module:
    """The module without its writes to rows."""
    tree = ast.parse(source)
    writes = _Writes()
    writes.visit(tree)  # in place: the root is not replaced
    if not writes.found:
        raise StrippingError("no write to a row of the scoreboard found: has the loop been rewritten?")
    if what is What.ALL:
        _Assignments(frozenset()).visit(tree)
        while unused := _unused(tree):
            _Assignments(unused).visit(tree)
    return ast.fix_missing_locations(tree)


def _is_row(node: ast.expr) -> bool:
    if not isinstance(node, ast.Subscript):
        return False
    match node.value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ROWS
    return False


class _Writes(ast.NodeTransformer):
    """Takes out `row[...] = ...` and `row[...] += ...`; of `row[...] = name = ...` the name stays."""

    def __init__(self) -> None:
        self.found = 0

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        targets = [target for target in node.targets if not _is_row(target)]
        self.found += len(node.targets) - len(targets)
        node.targets = targets
        return node if targets else ast.copy_location(ast.Pass(), node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        if not _is_row(node.target):
            return node
        self.found += 1
        return ast.copy_location(ast.Pass(), node)


class _Assignments(ast.NodeTransformer):
    """Takes out assignments to names that nobody reads, and conditions on which nothing depends any more."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        return ast.copy_location(ast.Pass(), node) if _target(node) in self._names else node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        return ast.copy_location(ast.Pass(), node) if _target(node) in self._names else node

    def visit_If(self, node: ast.If) -> ast.stmt:
        self.generic_visit(node)
        idle = all(isinstance(inner, ast.Pass) for inner in (*node.body, *node.orelse))
        return ast.copy_location(ast.Pass(), node) if idle and _is_pure(node.test) else node


def _target(node: ast.stmt) -> str:
    """The one local name that a statement assigns to, where leaving it out has no other effect."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if _is_pure(value):
            return name
        case ast.AugAssign(target=ast.Name(id=name), value=value) if _is_pure(value):
            return name
    return ""


def _is_pure(value: ast.expr) -> bool:
    calls = [node for node in ast.walk(value) if isinstance(node, ast.Call)]
    return all(isinstance(call.func, ast.Name) and call.func.id in PURE for call in calls)


def _unused(tree: ast.Module) -> frozenset[str]:
    """Names assigned within functions and read by nothing but their own updates."""
    assigned, read = set(), set()
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(function):
            own = _target(node) if isinstance(node, ast.stmt) else ""
            if own:
                assigned.add(own)
                read |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id != own and _loads(n)}
    skipped = {
        id(inner) for node in ast.walk(tree) if isinstance(node, ast.stmt) and _target(node) for inner in ast.walk(node)
    }
    read |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and _loads(n) and id(n) not in skipped}
    return frozenset(assigned - read)


def _loads(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


# -- the import hook -------------------------------------------------------------------------------------------------


class _Loader(SourceFileLoader):
    """Compiles the stripped source, and neither reads nor writes a cached file."""

    what = What.WRITES

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_source(fullname)
        if source is None:
            raise StrippingError(f"{fullname} has no source")
        return compile(strip(source, self.what), self.path, "exec")


class _Finder(MetaPathFinder):
    """Asks the other finders, and puts the stripping loader in place for the modules of the hot path."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in MODULES:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and spec.origin:
                spec.loader = _Loader(fullname, spec.origin)
                return spec
        return None


def install(what: What) -> None:
    """From now on the modules of the hot path are imported stripped."""
    _Loader.what = what
    sys.meta_path.insert(0, _Finder())
