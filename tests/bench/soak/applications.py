"""The applications of the soak: each is the demo's settings at addresses of its own, and clients who keep count.

Can go wrong: an application is not there (in an older version, say): it is left out, and named.
"""

import importlib.util
import json
import os
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from tests.bench.server import ROOT
from tests.bench.soak.ledger import Balance, Ledger
from tests.kit.admin import Metrics
from tests.kit.door import Door, door_of
from tests.kit.server import Server

EXAMPLES = ROOT / "handlers" / "examples"
NAMES = ("monitor", "web", "game", "compute")
#: Addresses of our own that others have to know before there is a service.
WORKERS_OF_COMPUTE = f"@forkful-soak-{os.getpid()}"
ARENA = f"127.{os.getpid() >> 8 & 0x3F | 0x40}.{os.getpid() & 0xFF}.99:9999"
Toml = dict[str, Any]  # Any: what tomllib gives


class Clients(Protocol):
    """Those of one application."""

    def start(self, doors: Mapping[str, list[Door]]) -> None:
        """Begin to ask; `doors` by the demo's names of pools."""

    def stop(self) -> None:
        """Have an end, with all that was asked answered or given up."""

    def balances(self, metrics: Metrics) -> Iterator[Balance]:
        """What they sent, beside what was counted. Asked until all is even, or for so long."""


def present() -> list[str]:
    """Those that there are."""
    return [name for name in NAMES if (EXAMPLES / name / "demo.toml").exists()]


def missing_libraries() -> list[str]:
    return [
        name
        for name in ("starlette", "a2wsgi", "statsd", "requests", "websockets")
        if not importlib.util.find_spec(name)
    ]


def pool_of(application: str, pool: str) -> str:
    return f"{application}-{pool}"


def settings(names: list[str]) -> str:
    """All demos in one file: ports that the kernel chooses, and handlers that can be broken."""
    lines: list[str] = []
    for name in names:
        for pool, options in _pools(name).items():
            lines += ["", f"[pool.{pool_of(name, pool)}]", *(f"{key} = {json.dumps(x)}" for key, x in options.items())]
    return "\n".join(lines) + "\n"


def _pools(name: str) -> Toml:
    pools: Toml = tomllib.loads((EXAMPLES / name / "demo.toml").read_text())["pool"]
    for options in pools.values():
        options["handler"] = (
            options["handler"]
            .replace("forkful.handlers.examples.", "soaked:")
            .replace(f"soaked:{name}:", f"soaked:{name}.")
        )
        options["bind"] = [_elsewhere(address) for address in options["bind"]]
    return pools


def _elsewhere(address: str) -> str:
    if address.startswith("unix:"):
        return f"unix:{WORKERS_OF_COMPUTE}"
    if address.endswith(":9999"):
        return f"udp://{ARENA}"
    return address.rpartition(":")[0] + ":0"


def environment(server: Server) -> dict[str, str]:
    """What the applications are told."""
    admin = str(server.admin.path)
    return {"MONITOR_ADMIN": admin, "COMPUTE_WORKERS": WORKERS_OF_COMPUTE, "ARENA_UDP": ARENA}


def doors(server: Server, name: str) -> dict[str, list[Door]]:
    """Where each pool of it is, in the order of its addresses."""
    found = {}
    for pool in _pools(name):
        addresses = server.listeners(pool_of(name, pool))
        found[pool] = [door_of(address) for address in addresses if not address.startswith("unix:")]
    return found


class Crew:
    """Threads that do one thing each, so often a second, until they are stopped."""

    def __init__(self, ledger: Ledger, application: str) -> None:
        self.ledger, self.application = ledger, application
        self.over = threading.Event()
        self._threads: list[threading.Thread] = []

    def send(self, act: Callable[[], object], rate: float) -> None:
        """Have a thread of its own do this, `rate` times a second at most."""

        def run() -> None:
            while not self.over.wait(1 / rate):
                act()

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def count(self, what: str, by: int = 1) -> None:
        self.ledger.count(self.application, what, by)

    def notice(self, what: str, remark: object = "") -> None:
        self.ledger.notice(self.application, what, str(remark)[:200])

    def stop(self) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), f"a client of {self.application} is stuck"
