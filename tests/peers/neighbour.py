"""A neighbour: a real program of the distribution (HAProxy, Prometheus, ...) run beside the server under test.

Can go wrong: it is not installed (the test is skipped, or fails where neighbours are required); it ends, or does not
say in time what it should: `TooLateError` or `AssertionError`, with its output.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Self

import pytest

from tests.kit.wait import PATIENCE, until

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def find(program: str, *, package: str = "") -> str:
    """The path of an installed program. Without it: skip, or fail with CI=true or FORKFUL_REQUIRE_PEERS=1."""
    found = shutil.which(program, path=_PATH)
    if found is None:
        missing(f"{program} is not installed (Debian: apt-get install {package or program})")
    return found


def missing(reason: str) -> NoReturn:
    """Leave this test: skipped where that is allowed (`tests/conftest.py`)."""
    pytest.skip(reason)


class Neighbour:
    """One running program and what it printed."""

    def __init__(self, command: Sequence[str], folder: Path, *, env: Mapping[str, str], fds: Sequence[int]) -> None:
        self.log_path = folder / f"{Path(command[0]).name}.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=fds,
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, text: str, *, within: float = PATIENCE) -> str:
        """Wait until it has printed this, and return all it has printed."""

        def said() -> str:
            log = self.log
            assert text in log or self.process.poll() is None, f"it ended with {self.process.returncode}: {log}"
            return log if text in log else ""

        return until(said, what=f"{text!r} from {self.process.args!r}", within=within)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
