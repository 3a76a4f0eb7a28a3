"""The state: all that the master knows, in one place, as tables that only their own methods write.

The other modules of this package act on it, and say what has happened to the table that it concerns.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import field
from enum import Enum
from typing import Any

from forkful.conf.light import dataclass
from forkful.conf.plan import PoolPlan
from forkful.master.model.events import SERVES, SERVES_NOBODY
from forkful.master.model.fleet import Failure, Phase, Reason
from forkful.master.model.journal import Journal
from forkful.master.policy import canary, readiness
from forkful.master.policy.autoscale import Mark, Pulse
from forkful.master.policy.pools import PoolFacts
from forkful.master.policy.transaction import MIXED, SERVING, Stage
from forkful.master.supervisor.admin_child import AdminRecord
from forkful.master.supervisor.command_runs import CommandRuns
from forkful.master.supervisor.generations import Generation, Generations, MoldRecord
from forkful.master.supervisor.listening import Listening
from forkful.master.supervisor.service_manager import ServiceManager
from forkful.master.supervisor.stopping import Stop
from forkful.master.supervisor.transaction import Helper, LastReload, Transaction
from forkful.master.supervisor.watch_record import WatchRecord
from forkful.master.supervisor.workers import Leaving, Targets, Workers
from forkful.master.system.listeners import Listener
from forkful.master.system.metrics_dir import Outer
from forkful.master.system.oom import Kills
from forkful.master.system.spawn import Closable
from forkful.master.system.terminal import Terminal
from forkful.worker.ipc import messages
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.scoreboard import Scoreboard


class MasterPhase(Enum):
    STARTING = "the first generation is not ready yet"
    RUNNING = "serving"
    RELOADING = "a new generation is being tried"
    STOPPING = "draining"


Watched = Channel | int  # a channel or a descriptor


@dataclass(slots=True)
class Rounds:
    """What `forkful.master.supervisor.sampling` remembers from look to look. Times are monotonic seconds."""

    vigil_at: float = 0.0
    wear_at: float = 0.0
    resize_at: float = 0.0
    sampled_at: float = 0.0  # when memory was looked at
    beyond: dict[int, int] = field(default_factory=dict)  # samples in a row beyond max_rss, by token
    reported: dict[int, dict[float, float]] = field(default_factory=dict)  # overdue starts and ages told, by token
    measured_at: float = 0.0  # when elastic pools were
    pulses: dict[str, Pulse] = field(default_factory=dict)
    marks: dict[int, Mark] = field(default_factory=dict)  # of the workers of elastic pools, by token


@dataclass(slots=True)
class State:
    """Everything: the tables, each of which only its own methods write, and what is everybody's."""

    board: Scoreboard
    argv: list[str]  # what followed `forkful serve`, for the reader
    version: str
    directory: str = ""  # where the service was started, as its user named it
    journal: Journal = field(default_factory=Journal)
    manager: ServiceManager = field(default_factory=ServiceManager)
    started_at: float = field(default_factory=time.time)
    generations: Generations = field(default_factory=Generations)
    workers: Workers = field(default_factory=Workers)
    targets: Targets = field(default_factory=Targets)
    leaving: Leaving = field(default_factory=Leaving)
    commands: CommandRuns = field(default_factory=CommandRuns)
    transaction: Transaction | None = None
    stop: Stop | None = None
    exit_code: int | None = None
    start_failure: Failure | None = None  # why the first start ended
    listening: Listening = field(default_factory=Listening)
    last_reload: LastReload = field(default_factory=LastReload)
    admin: AdminRecord = field(default_factory=AdminRecord)
    watch: WatchRecord = field(default_factory=WatchRecord)  # with `reload` only
    pid: int = field(default_factory=os.getpid)
    pid_file: str = ""  # where we have said so; the plan may name another meanwhile
    multiprocess: str = ""  # prometheus_client's directory
    scratch: Outer | None = None  # what that lies in, if it is ours, and we remove it in the end
    oom_kills: Kills = field(default_factory=Kills)
    rounds: Rounds = field(default_factory=Rounds)
    probe: bool = False  # leave as soon as the first generation is ready
    terminal: Terminal = field(default_factory=Terminal)
    server: Any = None  # Any: the drop-in mode's socketserver object
    own: list[Closable] = field(default_factory=list)  # the loop's descriptors, never for children
    # Set by the loop, which calls the room that is concerned when something arrives there.
    watch_mold: Callable[[MoldRecord], None] = lambda _: None
    watch_worker: Callable[[int], None] = lambda _: None
    watch_admin: Callable[[], None] = lambda: None
    watch_watcher: Callable[[], None] = lambda: None
    watch_helper: Callable[[Helper], None] = lambda _: None
    watch_command: Callable[[int, int], None] = lambda _pid, _fd: None
    watch_barrier: Callable[[int], None] = lambda _: None
    unwatch: Callable[[Watched], None] = lambda _: None
    unheard: Callable[[], bytes] = lambda: b""  # takes the numbers of the signals that came and were not acted on

    def answer(self, question: int, *, ok: bool, message: str, traceback: str = "") -> None:
        """Answer a question of the admin child's."""
        if self.admin.channel is not None:
            self.admin.channel.send(messages.Answer(question, ok, message, traceback))

    # -- who there is ------------------------------------------------------------------------------------------------

    def all_generations(self) -> Iterator[Generation]:
        yield from self.generations.all()
        if self.candidate is not None:
            yield self.candidate

    def generation(self, number: int) -> Generation | None:
        return next((g for g in self.all_generations() if g.number == number), None)

    @property
    def stage(self) -> Stage:
        """How far the transaction is."""
        return self.transaction.stage if self.transaction is not None else Stage.IDLE

    @property
    def current(self) -> Generation | None:
        return self.generations.current

    @property
    def candidate(self) -> Generation | None:
        return self.transaction.candidate if self.transaction is not None else None

    def molds(self) -> Iterator[MoldRecord]:
        return (g.mold for g in self.all_generations() if g.mold is not None)

    def goal(self) -> Generation | None:
        """The generation that workers are cast from now."""
        return self.candidate if self.stage in SERVING else self.current

    def listeners(self) -> dict[str, Listener]:
        """Every listener that is open here and that a generation holds, by the address in its plan."""
        return {str(listener.address): listener for listener in self.every_listener() if listener.is_open}

    def every_listener(self) -> Iterator[Listener]:
        """Those of all generations, also what is closed here already and left to the workers that have it."""
        for generation in self.all_generations():
            for row in generation.listeners.values():
                yield from row

    def held(self) -> dict[str, Listener]:
        """Every listener that is open, also what the script bound for us."""
        return self.listening.adopted | self.listeners()

    def private(self) -> list[Closable]:
        """What the master has open and no child may hold."""
        channels = [*self.workers.channels.values(), *(mold.channel for mold in self.molds())]
        if self.admin.channel is not None:
            channels.append(self.admin.channel)
        if self.watch.channel is not None:
            channels.append(self.watch.channel)
        pipes: list[Closable] = [*self.workers.bequests.values(), *self.commands.outputs.values()]
        return [*self.own, *channels, *self.admin.listeners, self.manager.notifier, *pipes]

    def meanwhile(self) -> str:
        """In words, what the current generation does: after WINCH, or at a target of 0, nobody of it serves."""
        number = self.current.number if self.current is not None else 0
        here = (w for w in self.workers.fleet.values() if w.generation == number and w.phase is Phase.READY)
        return SERVES if any(here) else SERVES_NOBODY

    def wants_admin(self) -> bool:
        """Whether there is anything for an admin child to do."""
        generation = self.goal() or self.candidate
        return bool(self.admin.listeners or (generation is not None and generation.plan.master.pushed))

    # -- what is wanted ----------------------------------------------------------------------------------------------

    @property
    def phase(self) -> MasterPhase:
        if self.stop is not None:
            return MasterPhase.STOPPING
        if self.transaction is not None:
            return MasterPhase.RELOADING if self.current is not None else MasterPhase.STARTING
        return MasterPhase.RUNNING

    def target(self, pool: PoolPlan) -> int:
        if self.targets.paused or (self.stop is not None and self.stop.draining):
            return 0
        return self.targets.of(pool)

    def wanted(self) -> list[PoolFacts]:
        """The facts that policy needs of each pool, also of pools that are on their way out."""
        goal = self.goal()
        previous = self.current if self.stage in SERVING else None
        facts = [
            self._facts(pool, goal, previous)
            for goal in ([goal] if goal is not None else [])  # none: the first start was given up
            for pool in goal.plan.pools
        ]
        known = {pool.name for pool in facts}
        outgoing = {worker.pool for worker in self.workers.fleet.values()} - known
        return facts + [self._outgoing(name, previous) for name in outgoing]

    def _facts(self, pool: PoolPlan, goal: Generation, previous: Generation | None) -> PoolFacts:
        """Of a pool that the goal generation has."""
        before = previous.pool(pool.name) if previous is not None else None
        spec = self.transaction.canary if self.transaction is not None else ""
        target = self.target(pool)
        if spec and before is not None and self.stage in {Stage.TRYING, *MIXED}:
            target = self.target(before) or target  # as many as there were, until it is known that it stays
        is_mixed = self.stage in MIXED and before is not None
        return PoolFacts(
            name=pool.name,
            target=target,
            goal=goal.number,
            trying=previous is not None and self.stage is Stage.TRYING,
            fallback=previous.number if previous is not None else None,
            surge=pool.surge,
            canaries=canary.seats(spec, target) if is_mixed and spec else None,
            beside=is_mixed and self._stay(before or pool, target),
            why_fewer=Reason.STOP if self.stop is not None else Reason.SCALE_DOWN,
            not_before={slot: s.not_before for slot, s in self.workers.strikes_of(pool.name)},
            served=frozenset(slot for slot, s in self.workers.strikes_of(pool.name) if s.served),
        )

    def _stay(self, before: PoolPlan, target: int) -> bool:
        """Whether old workers stay beside the canaries: the only one, and those whose code no mold has.

        Not where a slot's worker has sockets of its own, which the next one has only once it is gone.
        """
        return before.affinity == "none" and (target == 1 or not (before.preload or self.server is not None))

    def _outgoing(self, name: str, previous: Generation | None) -> PoolFacts:
        """A pool that the goal generation does not have: it serves on until the transaction is whole."""
        pool = previous.pool(name) if previous is not None else None
        if pool is None or previous is None or self.stage is Stage.PARTING:
            return PoolFacts(name, target=0, goal=0, why_fewer=Reason.STOP if self.stop is not None else Reason.RELOAD)
        return PoolFacts(name, target=self.target(pool), goal=previous.number, surge=pool.surge)

    def readiness(self) -> tuple[bool, str]:
        """Whether every pool can serve, and what is missing: of one that can, too."""
        if self.start_failure is not None:
            return False, f"the start failed: {self.start_failure.message}"
        if self.stop is not None:
            return False, "stopping"
        if self.current is None:
            return False, "starting: no generation is ready yet"
        if self.current.plan.stand_in:
            return False, f"waiting for a change of the files: {self.last_reload.message}"
        short, is_ready = [], True
        for pool in self.current.plan.pools:
            ready = sum(w.pool == pool.name and w.phase is Phase.READY for w in self.workers.fleet.values())
            wanted = self.targets.of(pool)
            is_ready &= readiness.is_ready(pool, self.target(pool), ready)
            if ready < wanted or not self.target(pool):
                why = self.workers.trouble.get(pool.name)
                short.append(
                    f"pool {pool.name}: {ready} of {wanted} workers ready" + (f" ({why.message})" if why else "")
                )
        return is_ready, "; ".join(short)
