"""An installation of the package in a folder of its own, which a test replaces by other versions while it is in use.

It comes compiled, as pip leaves it: else each start would compile every module anew. Code is trusted by a hash of its
source, as a test changes modules within the second that a date is good for.
"""

import compileall
import shutil
from collections.abc import Mapping
from pathlib import Path
from py_compile import PycInvalidationMode

from forkful.worker import compiled

_ROOT = Path(__file__).parent.parent.parent
_PACKAGES = ("conf", "handlers", "worker", "master")


class Installation:
    """What `pip install --target FOLDER` leaves. `environment` makes a server use it."""

    def __init__(self, folder: Path, compiled: Path) -> None:
        """`compiled` is what `compile_into` has made."""
        self.folder = folder
        self._compiled = compiled
        self.package = folder / "forkful"
        self.version = ""
        folder.mkdir()
        self.install("1.0")

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.folder)}

    def install(self, version: str, changes: Mapping[str, str] = {}) -> None:
        """Put this version in place of the one before. `changes` are lines for the end of modules, by their path."""
        new = self.folder / "new"
        shutil.copytree(self._compiled, new)
        for name, lines in changes.items():
            with (new / name).open("a") as source:
                source.write(f"\n{lines}\n")
        self._swap(new)
        for old in self.folder.glob("*.dist-info"):
            shutil.rmtree(old)
        about = self.folder / f"forkful-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: forkful\nVersion: {version}\n")
        self.version = version

    def _swap(self, new: Path) -> None:
        """As pip does it: the old files are moved away, the new ones take their place, the old ones are removed."""
        old = self.folder / "old"
        if self.package.exists():
            self.package.rename(old)
        new.rename(self.package)
        shutil.rmtree(old, ignore_errors=True)


def compile_into(folder: Path) -> Path:
    """The package as this checkout has it, compiled; for all installations of a run."""
    for name in _PACKAGES:
        shutil.copytree(_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (_ROOT / "master" / "package").glob("*.py"):
        shutil.copy(file, folder)
    if library := compiled.find():  # what this run tests has one
        shutil.copy(library, folder / "worker")
    assert compileall.compile_dir(folder, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    return folder
