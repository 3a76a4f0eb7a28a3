"""The faults: everything of the chaos run, and processes without descriptors, one after the other.

Each is done to a service that is whole, and over when it is whole again; then clients have a moment to notice.
Can go wrong: it does not become whole again (`TooLateError`), or a deployment has another outcome than it should.
"""

import contextlib
import os
import random
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGUSR2, SIGWINCH, Signals

from tests.bench.soak.applications import pool_of
from tests.bench.soak.ledger import CALM, Fault, Ledger
from tests.kit import processes
from tests.kit.admin import Json
from tests.kit.server import Server
from tests.kit.wait import TooLateError, gone, until

PATIENCE = 240.0  # seconds; the machine may be busy
NOTICED_WITHIN = 3.0  # seconds after a fault
_CLAIMED_FOR = 13.0  # seconds: what becomes of a room without its worker is known when that one's claim is over
_STARVED = 1.0  # seconds


class Faults:
    """What befalls this service; `pools` by application."""

    def __init__(self, server: Server, ledger: Ledger, pools: dict[str, list[str]], seed: int) -> None:
        self._server, self._ledger = server, ledger
        self._pools = [(name, pool_of(name, pool)) for name, each in pools.items() for pool in each]
        self._broken = server.folder / "broken"
        self._dice = random.Random(seed)
        self._pause = threading.Event()
        self._targets = {pool["name"]: pool["target"] for pool in self._status()["pools"]}
        self.trouble: list[str] = []
        self.last = CALM
        #: name: how often, beside the others; of one application, or of all; what is done.
        self._kinds: dict[str, tuple[int, bool, Callable[[str], object]]] = {
            "worker killed": (8, True, self._kill),
            "worker told to leave": (4, True, lambda pool: self._signal_one(pool, SIGTERM)),
            "worker frozen": (2, True, self._freeze),
            "worker out of descriptors": (2, True, self._starve_worker),
            "whole pool told to leave": (2, True, self._recycle_all),
            "scaled": (3, True, self._scale),
            "emptied": (1, False, lambda _: self._empty()),
            "reload": (2, False, lambda _: self._deploy(SIGHUP, "reloads", "success")),
            "broken reload": (1, False, lambda _: self._break()),
            "upgrade": (1, False, lambda _: self._deploy(SIGUSR2, "upgrades", "success")),
            "mold killed": (1, False, lambda _: self._kill_child("mold")),
            "admin child killed": (1, False, lambda _: self._kill_child("admin")),
            "master out of descriptors": (1, False, lambda _: self._starve_master()),
        }
        self._first = self._dice.sample([*self._kinds], len(self._kinds))  # each happens at least once

    def one(self) -> None:
        """Let one of them happen, and be noticed."""
        weights = [weight for weight, _, _ in self._kinds.values()]
        name = self._first.pop() if self._first else self._dice.choices([*self._kinds], weights)[0]
        _, of_one, act = self._kinds[name]
        application, pool = self._dice.choice(self._pools)
        self.last = Fault(name, application if of_one else "")
        self._ledger.begin(self.last)
        try:
            act(pool)
            self.wait_until_whole()
        except (AssertionError, OSError, TooLateError) as error:
            self.trouble.append(f"{name} of {pool if of_one else 'all'}: {str(error)[:500]}")
        is_slow = name == "emptied" or (of_one and application == "game")
        self._pause.wait(_CLAIMED_FOR if is_slow else NOTICED_WITHIN)

    def pause(self, least: float, most: float) -> None:
        self._pause.wait(self._dice.uniform(least, most))

    def wait_until_whole(self) -> None:
        until(self._is_whole, what="a service that is whole", within=PATIENCE)

    def _is_whole(self) -> bool:
        try:
            status = self._status()
        except (OSError, AssertionError, ValueError):
            return False
        for pool in status["pools"]:
            phases = [worker["phase"] for worker in pool["workers"]]
            if phases != ["READY"] * self._targets[pool["name"]] or not all(each["pid"] for each in pool["workers"]):
                return False
        return bool(
            status["phase"] == "RUNNING" and len(status["molds"]) == 1 and status["molds"][0]["phase"] == "READY"
        )

    def _status(self) -> Json:
        return self._server.status()

    # -- of a pool ---------------------------------------------------------------------------------------------------

    def _signal_one(self, pool: str, number: Signals) -> int:
        pid = self._dice.choice(sorted(self._server.workers(pool).values()))
        os.kill(pid, number)
        if number in (SIGKILL, SIGTERM):
            gone(pid, within=PATIENCE)
        return pid

    def _kill(self, pool: str) -> None:
        self._signal_one(pool, SIGKILL)

    def _freeze(self, pool: str) -> None:
        pid = self._signal_one(pool, SIGSTOP)
        self._pause.wait(self._dice.uniform(0.05, 0.8))
        os.kill(pid, SIGCONT)

    def _recycle_all(self, pool: str) -> None:
        for pid in self._server.workers(pool).values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, SIGTERM)
                gone(pid, within=PATIENCE)

    def _starve_worker(self, pool: str) -> None:
        with _without_descriptors(self._dice.choice(sorted(self._server.workers(pool).values()))):
            self._pause.wait(_STARVED)

    def _scale(self, pool: str) -> None:
        before = self._targets[pool]
        for workers in (self._dice.randint(1, 3), before):
            result = self._server.run("scale", pool, str(workers), within=PATIENCE)
            assert result.returncode == 0, result.stderr
            self._targets[pool] = workers
            self.wait_until_whole()

    # -- of all ------------------------------------------------------------------------------------------------------

    def _deploy(self, number: Signals, counter: str, outcome: str) -> None:
        before = self._status()["counters"][counter]
        self._server.signal(number)

        def over() -> Json | None:
            try:
                now: Json = self._status()["counters"][counter]
            except (OSError, AssertionError, ValueError):
                return None
            return now if now != before else None

        after = until(over, what=f"the end of what {number.name} began", within=PATIENCE)
        told = self._status()["reload"]["message"]
        assert after[outcome] == before[outcome] + 1, f"{counter}: from {before} to {after}: {told}"

    def _break(self) -> None:
        self._broken.touch()
        try:
            self._deploy(SIGHUP, "reloads", "failure")
        finally:
            self._broken.unlink()

    def _empty(self) -> None:
        """No worker for a moment, in which clients queue."""
        self._server.signal(SIGWINCH)
        self._pause.wait(self._dice.uniform(0.1, 0.8))
        self._deploy(SIGHUP, "reloads", "success")

    def _kill_child(self, kind: str) -> None:
        pid = self._server.child(kind)
        os.kill(pid, SIGKILL)
        gone(pid, within=PATIENCE)
        until(lambda: self._server.child(kind) != pid, what=f"another {kind}", within=PATIENCE)

    def _starve_master(self) -> None:
        """A worker that leaves meanwhile is replaced when there are descriptors again."""
        with _without_descriptors(self._server.pid):
            pid = self._dice.choice(sorted(self._server.workers(self._pools[0][1]).values()))
            os.kill(pid, SIGTERM)
            self._pause.wait(_STARVED)


@contextmanager
def _without_descriptors(pid: int) -> Iterator[None]:
    """It can open no more than it has."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = processes.descriptors(pid)
    first = next(number for number in range(len(taken) + 1) if number not in taken)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (first, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
