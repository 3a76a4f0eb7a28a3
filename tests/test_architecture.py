"""The shape of the project, held by tests: who may import whom, how big a room may be, and what stays out of it."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("conf", "handlers", "worker", "master")  # each may import itself and those before it
#: Inside two of them: a package may import itself and those before it. "" is the modules of the folder itself.
PACKAGES = {
    "worker": ("ipc", "net", "process", "blocking", "eventloop", "http", "http.wsgi", "http.asgi", ""),
    "master": ("model", "policy", "system", "admin", "supervisor", "cli", "", "package"),
}
MAX_FILE, MAX_FUNCTION = 400, 50
MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

HEAVY = ("click", "rich", "prometheus_client")
LOADERS = {"import_module", "__import__", "run_path", "run_module", "exec_module"}
#: What the user wrote; a drop-in script, once more; another server's settings, which are a program.
MAY_LOAD = {"handlers/load.py", "master/second_start.py", "conf/moving/execute.py"}
MAY_ASK_FOR_IT = {"master/supervisor/mold.py", "worker/main.py"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(tree: ast.AST, *, running: bool = False) -> Iterator[str]:
    """Every dotted name that is imported in a module, inside functions too; `running`: not what only types need."""
    for node in _running(tree) if running else ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=aliases):  # relative imports: ruff TID252 forbids them
                yield from (f"{module}.{alias.name}" for alias in aliases)
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _running(child)


def imported_layers(tree: ast.AST) -> set[str]:
    parts = (imported.split(".") for imported in imports(tree))
    return {part[1] for part in parts if part[0] == "forkful" and len(part) > 1}


def package(dotted: str, layer: str) -> str:
    """The package below `layer` in which a dotted name of ours lives, the longest that exists."""
    parts = dotted.split(".")[2:]
    heads = (parts[:n] for n in range(len(parts), 0, -1))
    return next((".".join(head) for head in heads if (ROOT / layer).joinpath(*head).is_dir()), "")


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def called(tree: ast.AST) -> Iterator[str]:
    """What a module calls, as it is written: `time.sleep`, `import_module`."""
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_module_imports_one_way_and_is_one_small_room(path: Path) -> None:
    source = path.read_text()
    tree = ast.parse(source)
    own = path.relative_to(ROOT).parts[0]
    allowed = LAYERS[: LAYERS.index(own) + 1]

    assert imported_layers(tree) <= set(allowed), f"{own}/ may import only {allowed}"
    assert source.count("\n") <= MAX_FILE, "split this room"
    assert ast.get_docstring(tree), "say in one sentence what this module is for"
    long = {f.name: f.end_lineno for f in functions(tree) if (f.end_lineno or 0) - f.lineno >= MAX_FUNCTION}
    assert not long, "a function fits a screen"


@pytest.mark.parametrize("path", [p for p in MODULES if name(p).split("/")[0] in PACKAGES], ids=name)
def test_packages_inside_a_layer_import_one_way(path: Path) -> None:
    layer, *inner = path.relative_to(ROOT).parts[:-1]
    order, own = PACKAGES[layer], ".".join(inner)
    ours = [i for i in imports(ast.parse(path.read_text())) if i.startswith(f"forkful.{layer}.")]
    beyond = {i for i in ours if order.index(package(i, layer)) > order.index(own)}

    assert not beyond, f"{layer}/{own} may import only {order[: order.index(own) + 1]}"


def test_every_package_has_its_place_in_the_order() -> None:
    folders = {path.parent.relative_to(ROOT).parts for path in MODULES}
    found = {(layer, ".".join(inner)) for layer, *inner in folders if layer in PACKAGES}

    assert found == {(layer, each) for layer, order in PACKAGES.items() for each in order}


def test_every_package_is_installed() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {".".join(("forkful", *path.parent.relative_to(ROOT).parts)) for path in MODULES}

    # `master/package` is installed as `forkful` itself, in which all others are.
    assert sorted(packages) == sorted({"forkful", *folders} - {"forkful.master.package"})


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_docstring_starts_with_a_sentence(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""

    assert re.match(r"[A-Z`].*?[.:?)]", text.split("\n\n")[0], re.DOTALL), "the first paragraph is a sentence"


def test_imports_have_no_cycle() -> None:
    graph = {f"forkful.{name(path)[:-3].replace('/', '.')}": path for path in MODULES if path.name != "__init__.py"}
    edges = {
        module: {
            known
            for imported in imports(ast.parse(path.read_text()), running=True)
            for known in (imported, imported.rpartition(".")[0])
            if known in graph and known != module
        }
        for module, path in graph.items()
    }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"a cycle: {' -> '.join((*trail[trail.index(module) :], module))}"
        if module not in done:
            for target in sorted(edges[module]):
                visit(target, (*trail, module))
            done.add(module)

    for module in sorted(edges):
        visit(module, ())


@pytest.mark.parametrize("path", [p for p in MODULES if name(p) not in MAY_LOAD], ids=name)
def test_only_the_loader_loads_user_code(path: Path) -> None:
    tree = ast.parse(path.read_text())
    calls = {call.rpartition(".")[2] for call in called(tree)}

    assert not calls & LOADERS, "the user's modules are loaded in one place"
    if path.parent.name == "master" and name(path) not in MAY_ASK_FOR_IT:
        assert not {i for i in imports(tree) if i.startswith("forkful.handlers.load")}, "and never in the master"


@pytest.mark.parametrize("module", ["forkful.master.main", "forkful.worker.main"])
def test_what_runs_all_the_time_does_not_import_what_only_reads_settings_or_prints(module: str) -> None:
    probe = f"import sys, {module}; print(*sorted({{n.partition('.')[0] for n in sys.modules}} & {set(HEAVY)!r}))"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=30, check=False)

    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [], "137 ms and 25 MB in every worker: keep it in the process that needs it"


@pytest.mark.parametrize("path", [p for p in TESTS if "bench" not in p.parts and "apps" not in p.parts], ids=name)
def test_tests_wait_for_facts_and_never_sleep(path: Path) -> None:
    calls = [call for call in called(ast.parse(path.read_text())) if call.rpartition(".")[2] == "sleep"]

    assert not calls, "a wait has a fact, and a deadline: tests/kit/wait.py"


@pytest.mark.parametrize("path", TESTS, ids=name)
def test_test_module_is_one_small_room_with_a_docstring(path: Path) -> None:
    source = path.read_text()

    assert source.count("\n") <= MAX_FILE
    assert ast.get_docstring(ast.parse(source))


#: The tables of the master's state, the module whose methods alone write each, and the names of their classes.
TABLES = {
    "workers": "workers.py",
    "targets": "workers.py",
    "leaving": "workers.py",
    "listening": "listening.py",
    "generations": "generations.py",
    "manager": "service_manager.py",
    "admin": "admin_child.py",
    "transaction": "transaction.py",
    "last_reload": "transaction.py",
    "stop": "stopping.py",
    "rounds": "sampling.py",
}
LOOKS = "sampling.py"  # which is more than its table, the rounds
MUTATORS = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}


def table_classes() -> set[str]:
    """The records of the modules that are nothing but tables."""
    modules = {*TABLES.values()} - {LOOKS}
    trees = [ast.parse((ROOT / "master/supervisor" / module).read_text()) for module in modules]
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}


def _is_table(node: ast.expr | None, aliases: set[str]) -> bool:
    match node:
        case ast.Attribute(attr=attr, value=ast.Name(id="state") | ast.Attribute(attr="state") | ast.Name(id="self")):
            return attr in TABLES
        case ast.Name(id=name):
            return name in aliases
        case ast.BoolOp(values=values):
            return any(_is_table(value, aliases) for value in values)
    return False


def aliases(tree: ast.AST, classes: set[str]) -> set[str]:
    """Local names of tables, and of the records in them: bound to one, or annotated as one."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _is_table(value, set()):
                found.add(name)
            case ast.NamedExpr(target=ast.Name(id=name), value=value) if _is_table(value, set()):
                found.add(name)
            case ast.arg(arg=name, annotation=ast.Name(id=kind)) if kind in classes:
                found.add(name)
            case ast.For(target=ast.Name(id=name), iter=source) if "generations" in ast.unparse(source):
                found.add(name)
    return found


def _is_in_table(node: ast.expr, names: set[str]) -> bool:
    while isinstance(node, ast.Attribute | ast.Subscript):
        if isinstance(node, ast.Attribute) and _is_table(node.value, names):
            return True
        node = node.value
    return False


def writes(tree: ast.AST, classes: set[str]) -> Iterator[str]:
    """What a module writes in a table, as it is written."""
    names = aliases(tree, classes)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
                target: ast.expr = node
            case ast.Call(func=ast.Attribute(attr=attr, value=target)) if attr in MUTATORS:
                pass
            case _:
                continue
        if _is_in_table(target, names):
            yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("path", [p for p in MODULES if p.is_relative_to(ROOT / "master")], ids=name)
def test_only_its_own_methods_write_a_table_of_the_state(path: Path) -> None:
    found = writes(ast.parse(path.read_text()), table_classes())
    theirs = [line for line in found if path.name != LOOKS or "rounds." not in line]

    assert not theirs, "say it with a verb of the table's"


@pytest.mark.parametrize(
    "line",
    [
        "state.workers.tokens += 1",
        "state.workers.fleet[1] = worker",
        "self.state.targets.paused = True",
        "del state.leaving.names[pid]",
        "state.generations.current, old = new, state.generations.current",
        "state.listening.forgotten.append(name)",
        "state.workers.unread[1].looks += 1",
        "record = state.admin\nrecord.pid = 0",
        "if (stop := state.stop): stop.why = ''",
        "def f(transaction: Transaction): transaction.waiters.clear()",
        "for generation in state.all_generations(): generation.mold = None",
    ],
)
def test_write_in_a_table_is_seen(line: str) -> None:
    assert [*writes(ast.parse(line), table_classes())]
