"""Real neighbours as a fixture: started, watched, and stopped at the end of the test.

Can go wrong: the program is missing (see `neighbour.find`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.peers.neighbour import Neighbour, find
from tests.process.conftest import certificate

__all__ = ["certificate", "neighbour"]


class Beside(Protocol):
    """Start a program beside the server under test."""

    def __call__(
        self, program: str, *arguments: str, package: str = "", env: Mapping[str, str] = {}, fds: Sequence[int] = ()
    ) -> Neighbour: ...


@pytest.fixture
def neighbour(tmp_path: Path) -> Iterator[Beside]:
    with ExitStack() as running:

        def start(
            program: str, *arguments: str, package: str = "", env: Mapping[str, str] = {}, fds: Sequence[int] = ()
        ) -> Neighbour:
            command = [find(program, package=package), *arguments]
            return running.enter_context(Neighbour(command, tmp_path, env=env, fds=fds))

        yield start
