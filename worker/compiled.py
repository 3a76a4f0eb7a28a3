"""The HTTP path as machine code, where the installation has it: found, held against its source, and begun.

The wheel that `FORKFUL_COMPILED=1` makes has one library with the modules of `deploy/build/table.py`, beside all of the
source. It is used as a whole or not at all, because its modules know each other's insides. Whoever uses it loads it at
once, which runs none of it; children that begin its modules need no file for that, so it goes on when another version
is installed meanwhile.
Can go wrong: it was made of other source than lies here, as where somebody edits that; it is for another Python; one of
its modules is here already, as source. Then the source counts, and `State` says why.
"""

import sys
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType

from forkful import conf, handlers, worker
from forkful.conf.light import dataclass

GROUP = "forkful__mypyc"  # the library's own module, by the name that mypyc's modules look for
ENTRANCE = "forkful.worker._entrance"  # what begins one of them; in the same library
_SIZE = 16  # bytes of a digest
_PACKAGES = {"conf": conf, "handlers": handlers, "worker": worker}


@dataclass(frozen=True, slots=True)
class State:
    """What serves HTTP: `compiled`, or the source. `why` is said where there is a library that cannot be used."""

    compiled: bool = False
    why: str = ""

    def __str__(self) -> str:
        return "compiled" if self.compiled else "pure"


@cache
def use() -> State:
    """From now on imports take its modules from the library, if that can be. Once is for all."""
    state, finder = look(find())
    if finder is not None:
        sys.meta_path.insert(0, finder)
    return state


def has(name: str) -> bool:
    """Whether imports take this module from the library."""
    return any(isinstance(finder, Compiled) and finder.has(name) for finder in sys.meta_path)


def find() -> Path | None:
    """The library of this installation for this Python."""
    place = Path(worker.__path__[0]) / f"{GROUP}{EXTENSION_SUFFIXES[0]}"
    return place if place.exists() else None


class Compiled(MetaPathFinder, Loader):
    """Finds the library's modules, before those who look for source, and begins them."""

    def __init__(self, group: ModuleType, entrance: ModuleType) -> None:
        self._group = group
        self._begin = entrance.begin
        self._files: dict[str, Path] = {name: _file(name) for name in entrance.MODULES}

    def has(self, name: str) -> bool:
        return name in self._files

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  # the protocol's
        target: ModuleType | None = None,  # noqa: ARG002  # as above
    ) -> ModuleSpec | None:
        if fullname not in self._files:
            return None
        spec = ModuleSpec(fullname, self, origin=str(self._files[fullname]))
        spec.has_location = True  # so that who asks for its file is shown the source
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Its body runs in here."""
        where = f"init_{spec.name.replace('.', '___')}"  # as mypyc writes it
        module: ModuleType = self._begin(getattr(self._group, where))
        return module

    def exec_module(self, module: ModuleType) -> None: ...


def look(library: Path | None) -> tuple[State, Compiled | None]:
    """What can be made of this library; nothing is, yet."""
    if library is None:
        return State(), None
    try:
        entrance = _load(ENTRANCE, library)
        changed = _changed(entrance.SOURCES)
        early = [name for name in entrance.MODULES if name in sys.modules]
        if changed:
            return State(why=f"the compiled code is of another version of {changed[0]}"), None
        if early:
            return State(why=f"{early[0]} was imported before"), None
        group = sys.modules[GROUP] = _load(GROUP, library)
        group.__file__ = str(Path(worker.__path__[0]).parents[1] / library.name)  # modules' own are made of this
    except (ImportError, OSError) as error:
        return State(why=str(error)), None
    return State(compiled=True), Compiled(group, entrance)


def _load(name: str, library: Path) -> ModuleType:
    loader = ExtensionFileLoader(name, str(library))
    module: ModuleType = loader.create_module(ModuleSpec(name, loader, origin=str(library)))  # all of it: PEP 489
    return module


def _changed(sources: Iterable[tuple[str, str]]) -> list[str]:
    """Modules whose source is not what the library was made of."""
    from hashlib import blake2b  # noqa: PLC0415  # pure installations do without

    def digest(name: str) -> str:
        return blake2b(_file(name).read_bytes(), digest_size=_SIZE).hexdigest()

    return [name for name, made_of in sources if digest(name) != made_of]


def _file(name: str) -> Path:
    """Where the source of a module of ours is."""
    _, package, *parts = name.split(".")
    place = Path(_PACKAGES[package].__path__[0]).joinpath(*parts)
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
