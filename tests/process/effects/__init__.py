"""What each option does, as seen from outside: the kernel, a client, a file; never our own status alone.

`EFFECTS` has an entry for each option, by its name: what it is at the start and after a reload, and the check that it
is so. Most share a server, each in a pool of its own; `Alone` brings servers of its own; `Elsewhere` names a test of
another module.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.kit.door import Door, door_of
from tests.kit.server import Server

Section = Mapping[str, Any]  # Any: what TOML takes


@dataclass(slots=True)
class Service:
    """A server that effects share. `folder` is one that any user may enter."""

    server: Server
    folder: Path
    configure: Callable[[Section, Mapping[str, Section]], None]  # [master], and pools by name

    def door(self, pool: str) -> Door:
        """Where a pool listens."""
        return door_of(self.server.listeners(pool)[0])

    def worker(self, pool: str) -> int:
        """The process id of a pool's only worker."""
        (pid,) = self.server.wait_for_workers(1, pool=pool).values()
        return pid


Check = Callable[[Service, Any], None]  # Any: the option's value


@dataclass(frozen=True, slots=True)
class Effect:
    """An option of the service `service`, in the section of `pool` ("": the master's or the admin child's)."""

    start: Any
    then: Any
    check: Check
    pool: str = ""
    service: str = "main"


class Launch(Protocol):
    """Start a server with a section for the master and some for pools, and wait until it is ready."""

    def __call__(self, master: Section, pools: Mapping[str, Section]) -> Service: ...


@dataclass(frozen=True, slots=True)
class Alone:
    """An option whose effect ends its server. `prove(launch, reloaded)`: at the start, and once it was changed."""

    prove: Callable[[Launch, bool], None]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A test of another module, below tests/, that shows it at the start and after a reload."""

    file: str
    test: str


AnyEffect = Effect | Alone | Elsewhere
