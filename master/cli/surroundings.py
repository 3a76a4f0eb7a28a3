"""The surroundings of an application: what `forkful init` finds out instead of asking.

Can go wrong: a handler that cannot be imported (`Unloadable`), no handler that could be meant (`Mistakes`).
"""

import ast
import pwd
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from forkful.conf.installed import version
from forkful.conf.light import dataclass
from forkful.conf.mistakes import Mistake, Mistakes
from forkful.conf.plan import MasterPlan
from forkful.conf.reader import ask_handler

_MODULES = ("wsgi", "asgi", "app", "main", "application", "server", "web")
_NAMES = ("application", "app", "api", "create_app", "make_app")
_FACTORIES = ("create_app", "make_app")
_PORTS = {"stream": 7000, "datagram": 7000, "http": 8000}
_SCHEMES = {"stream": "tcp", "datagram": "udp", "http": "http"}
_IMPORT_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found. `kind` is "stream", "datagram" or "http"."""

    handler: str
    kind: str
    directory: Path
    name: str  # of the service
    user: str  # "" where it is root's
    program: str  # how forkful is started here
    python: str  # like 3.12
    forkful: str  # its version
    requirements: str  # a file for pip, "." for a project of its own, "" for none
    variables: str  # a file with variables, "" for none

    @property
    def port(self) -> int:
        return _PORTS[self.kind]

    @property
    def scheme(self) -> str:
        return _SCHEMES[self.kind]

    @property
    def is_home(self) -> bool:
        """Whether it lies where units with ProtectHome=yes see nothing."""
        return bool({*map(str, self.directory.parents), str(self.directory)} & {"/home", "/root", "/run/user"})


def look(handler: str, directory: Path) -> Surroundings:
    """Find it all out."""
    handler = handler or guess(directory)
    answer = ask_handler(handler, _IMPORT_TIMEOUT, MasterPlan(), "--import")
    owner = pwd_name(directory.stat().st_uid)
    return Surroundings(
        handler=handler,
        kind=answer.kind,
        directory=directory,
        name=re.sub(r"[^a-z0-9_-]+", "-", directory.name.lower()).strip("-") or "forkful",
        user="" if owner == "root" else owner,
        program=_program(),
        python=_python(directory),
        forkful=version(),
        requirements=_requirements(directory),
        variables=str(directory / ".env") if (directory / ".env").is_file() else "",
    )


def pwd_name(uid: int) -> str:
    """A user's name, or number where nobody has it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _program() -> str:
    """The command beside the interpreter that runs this: in a virtual environment, that one's."""
    beside = Path(sys.executable).with_name("forkful")
    return str(beside) if beside.is_file() else f"{sys.executable} -m forkful"


def _python(directory: Path) -> str:
    """As the project says it, or as it is here."""
    try:
        said = re.match(r"3\.[0-9]+", (directory / ".python-version").read_text().strip())
    except (OSError, UnicodeDecodeError):
        said = None
    return said[0] if said else f"{sys.version_info.major}.{sys.version_info.minor}"


def _requirements(directory: Path) -> str:
    for name in ("requirements.txt", "requirements/production.txt", "requirements/base.txt"):
        if (directory / name).is_file():
            return name
    try:
        project = (directory / "pyproject.toml").read_text()
    except (OSError, UnicodeDecodeError):
        return ""
    return "." if re.search(r"^\[(project|build-system|tool\.poetry)\]", project, re.MULTILINE) else ""


# -- which handler may be meant ----------------------------------------------------------------------------------------


def guess(directory: Path) -> str:
    """The application that a directory is about, if there is one that it can only be. Raises `Mistakes`."""
    found = [*_of_django(directory)] or [*_of_modules(directory)]
    if len(found) == 1:
        return found[0]
    right = "name it, like: forkful init module:attribute"
    if not found:
        raise Mistakes([Mistake("HANDLER", f"no application was found in {directory}", right)])
    raise Mistakes([Mistake("HANDLER", f"it may be {' or '.join(found)}", right)])


def _of_django(directory: Path) -> Iterator[str]:
    """Of a project with manage.py: its wsgi module."""
    try:
        text = (directory / "manage.py").read_text()
    except (OSError, UnicodeDecodeError):
        return
    for package in re.findall(r"DJANGO_SETTINGS_MODULE['\"]\s*,\s*['\"]([\w.]+)\.settings", text):
        if directory.joinpath(*package.split("."), "wsgi.py").is_file():
            yield f"{package}.wsgi:application"


def _of_modules(directory: Path) -> Iterator[str]:
    """The first name that is bound in each module that is called as such modules are."""
    for module in _MODULES:
        try:
            tree = ast.parse((directory / f"{module}.py").read_text())
        except (OSError, SyntaxError, ValueError):
            continue
        bound = {*_bound(tree)}
        name = next((name for name in _NAMES if name in bound), "")
        if name:
            yield f"{module}:{name}{'()' if name in _FACTORIES else ''}"


def _bound(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
