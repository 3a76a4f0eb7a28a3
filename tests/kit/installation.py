"""An installation of the package in a folder of its own, which a test replaces by other versions while it is in use."""

import shutil
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).parent.parent.parent
_PACKAGES = ("conf", "handlers", "worker", "master")


class Installation:
    """What `pip install --target FOLDER` leaves. `environment` makes a server use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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
        for name in _PACKAGES:
            shutil.copytree(_ROOT / name, new / name, ignore=shutil.ignore_patterns("__pycache__"))
        for file in (_ROOT / "master" / "package").glob("*.py"):
            shutil.copy(file, new)
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
