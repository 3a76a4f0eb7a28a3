"""The code of this version, kept in memory: what a child imports later is of the version that its master is of.

Between `pip install` and `forkful upgrade` the files are another version's already, and workers, molds and the admin
child import much of what they need only when they are there, since the master must stay small. So the master reads the
code of all that at its start (0.8 MB, which all its children share), and imports take it from there. What is compiled
(`worker/compiled.py`) it loads, with the same effect.
Can go wrong: a file cannot be read, or is no Python: it is left to whoever imports it, who says so.
"""

import contextlib
import fcntl
import marshal
import mmap
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import MAGIC_NUMBER, cache_from_source, spec_from_file_location
from types import CodeType, ModuleType

from forkful import conf, handlers, master, worker
from forkful.worker import compiled

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
_HEADER = 16  # bytes of a .pyc
_WORD = 0xFFFF_FFFF
PACKAGES = (conf, handlers, worker, master)


class KeptCode(MetaPathFinder):
    """Finds modules by what was read; goes before those who look on disk."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files: dict[str, str] = {}
        self._places: dict[str, slice] = {}
        parts = bytearray()
        for name, path in files.items():
            with contextlib.suppress(OSError, SyntaxError, ValueError):
                code = _compiled(path) or marshal.dumps(SourceFileLoader(name, path).get_code(name))
                self._files[name], self._places[name] = path, slice(len(parts), len(parts) + len(code))
                parts += code
        fd = os.memfd_create("forkful-code", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with os.fdopen(fd, "wb") as file:
            file.write(parts or b"0")
            file.flush()
            # Sealed, before anybody has it: the master executes what is in there, and its workers inherit it.
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            self._memory = mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)  # a fork copies nothing of it

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  # the protocol's
        target: ModuleType | None = None,  # noqa: ARG002  # as above
    ) -> ModuleSpec | None:
        file = self._files.get(fullname)
        if file is None:
            return None
        folder, name = os.path.split(file)
        inside = [folder] if name == "__init__.py" else None
        loader = _Loader(fullname, file, self)
        return spec_from_file_location(fullname, file, loader=loader, submodule_search_locations=inside)

    def code(self, name: str) -> CodeType:
        found: CodeType = marshal.loads(self._memory[self._places[name]])  # noqa: S302  # what we wrote ourselves  # nosec B302
        return found


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, kept: KeptCode) -> None:
        super().__init__(fullname, path)
        self._kept = kept

    def get_code(self, fullname: str) -> CodeType:
        return self._kept.code(fullname)


def keep() -> None:
    """Read what is not imported yet, and let imports take it from there from now on."""
    compiled.use()
    if not any(isinstance(finder, KeptCode) for finder in sys.meta_path):
        files = {name: path for name, path in modules() if name not in sys.modules and not compiled.has(name)}
        sys.meta_path.insert(0, KeptCode(files))


def _compiled(path: str) -> bytes:
    """The code in a .pyc that is this source's, by time and size, as it lies there; b"" if there is none.

    To load each one only to write it again took 180 ms of each start. The 16 bytes before it: PEP 552.
    """
    try:
        with open(cache_from_source(path), "rb", buffering=0) as file:  # noqa: PTH123  # see `modules`
            data, source = file.read(), os.stat(path)
    except (OSError, NotImplementedError):
        return b""
    wanted = MAGIC_NUMBER + struct.pack("<3L", 0, int(source.st_mtime) & _WORD, source.st_size & _WORD)
    return data[_HEADER:] if data[:_HEADER] == wanted else b""


def modules() -> Iterator[tuple[str, str]]:
    """All of this version, by name. Texts, for with `Path` this took as long as to read them all."""
    for package in PACKAGES:
        for top in package.__path__:
            for folder, _, files in os.walk(top):
                parts = (package.__name__, *folder.removeprefix(top).split("/")[1:])
                for file in files:
                    stem, dot, suffix = file.rpartition(".")
                    if dot and suffix == "py":
                        yield ".".join(parts if stem == "__init__" else (*parts, stem)), f"{folder}/{file}"
