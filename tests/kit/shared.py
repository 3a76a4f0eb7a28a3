"""A service that several tests ask, each at a pool of its own: what they count is theirs, and the start is paid once.

Only for what is asked of a service that goes on: who signals, reloads or ends one starts his own (`serve`).
Can go wrong: what a server did wrong is told once the module is over, with its log.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kit.admin import Metrics
from tests.kit.door import Door, open_door
from tests.kit.server import APPS, CLI, Server

Kinds = Mapping[str, tuple[str, Sequence[str]]]  # by the name of a kind: a handler, and flags of its own


@dataclass(frozen=True)
class Share:
    """One pool: where its clients knock, and what is counted of it alone."""

    server: Server
    pool: str
    doors: Sequence[Door]

    @property
    def door(self) -> Door:
        (only,) = self.doors
        return only

    def sum(self, name: str, **labels: str) -> float:
        return self.server.metrics().sum(name, pool=self.pool, **labels)

    def metrics_at_rest(self) -> Metrics:
        """A scrape when nothing is in progress in this pool: a client has its answer a moment before it is counted."""

        def at_rest() -> Metrics | None:
            metrics = self.server.metrics()
            own = Metrics((key, value) for key, value in metrics.items() if ("pool", self.pool) in key[1])
            return own if own.sum("forkful_connections_active") == 0 else None

        return self.server.wait_until(at_rest, what=f"no request in progress in {self.pool}")

    def wait_for(self, count: float, name: str, **labels: str) -> None:
        """Wait until so many are counted."""
        self.server.wait_until(lambda: self.sum(name, **labels) == count, what=f"{count} {name} {labels}")


class Service:
    """One server with a pool for each kind."""

    def __init__(self, folder: Path, kinds: Kinds, flags: Sequence[str], binds: Sequence[str]) -> None:
        folder.mkdir()
        names = {kind: f"p{number}" for number, kind in enumerate(kinds)}
        doors = {kind: [open_door(bind, folder) for bind in binds] for kind in kinds}
        self.server = Server(folder, [door for opened in doors.values() for door in opened])
        self._shares = {kind: Share(self.server, names[kind], doors[kind]) for kind in kinds}
        text = "".join(
            f"[pool.{names[kind]}]\nhandler = {json.dumps(handler)}\nbind = {[door.url for door in doors[kind]]}\n"
            + settings([*own, *flags])
            for kind, (handler, own) in kinds.items()
        )
        self.server.configure(text)

    def start(self) -> None:
        command = [*CLI, "serve", "--admin-bind", f"unix://{self.server.admin.path}"]
        self.server.launch([*command, "-c", str(self.server.folder / "forkful.toml")], cwd=APPS, env={})
        self.server.wait_ready(within=60.0)  # as many imports as there are workers

    def share(self, kind: str) -> Share:
        return self._shares[kind]


class Shares:
    """The services of one module, by the test that asks them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._services: dict[str, Service] = {}

    def service(self, test: str, kinds: Kinds, flags: Sequence[str], binds: Sequence[str]) -> Service:
        key = f"{test} {flags} {binds}"
        if key not in self._services:
            self._services[key] = Service(self._folder / f"server{len(self._services)}", kinds, flags, binds)
            self._services[key].start()
        return self._services[key]

    def finish(self) -> None:
        failures = []
        for service in self._services.values():
            try:
                service.server.finish()
            except AssertionError as error:
                failures.append(f"{error}\n{service.server.log}")
        assert not failures, "\n".join(failures)


def settings(flags: Sequence[str]) -> str:
    """Flags, each with its value, as keys of a pool."""
    pairs = zip(flags[::2], flags[1::2], strict=True)
    plain = re.compile(r"[\d.]+")
    return "".join(
        f"{flag.removeprefix('--').replace('-', '_')} = {value if plain.fullmatch(value) else json.dumps(value)}\n"
        for flag, value in pairs
    )
