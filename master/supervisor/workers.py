"""The workers, by their tokens: who is seated, over which channel they speak, and what each slot has on its account.

Only the methods here write these tables. Whoever has a seat has a channel, and loses both at once.
Can go wrong: a change of a worker that has no seat is an error of ours, and raises.
"""

from collections.abc import Callable, Iterator
from dataclasses import field

from forkful.conf.light import dataclass
from forkful.conf.plan import PoolPlan
from forkful.master.model.fleet import Failure, Phase, Worker
from forkful.master.policy.throttle import Strikes
from forkful.worker.ipc.bequest import Bequest
from forkful.worker.ipc.channel import Channel

Slot = tuple[str, int]  # its pool, its number


@dataclass(slots=True)
class Unread:
    """A worker was told something: when to look whether it has read it (monotonic seconds), and how often we have."""

    look_at: float = 0.0
    looks: int = 0
    stacks: bool = False  # it was asked for its stacks


@dataclass(slots=True)
class Workers:
    """Everybody who serves, and what is remembered of those who did. `tokens` numbers casts, and only grows."""

    fleet: dict[int, Worker] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    tokens: int = 0
    unread: dict[int, Unread] = field(default_factory=dict)  # by token
    strikes: dict[Slot, Strikes] = field(default_factory=dict)
    strangers: dict[int, tuple[int, float]] = field(default_factory=dict)  # reaped before we knew whose they were
    trouble: dict[str, Failure] = field(default_factory=dict)  # pool: why its last worker could not boot
    departed_cpu: dict[str, float] = field(default_factory=dict)
    bequests: dict[Slot, Bequest] = field(default_factory=dict)  # what the last one left, until the next one has it

    # -- seats -------------------------------------------------------------------------------------------------------

    def ready(self) -> int:
        """How many of them serve."""
        return sum(worker.phase is Phase.READY for worker in self.fleet.values())

    def number(self) -> int:
        """The token of the next cast."""
        self.tokens += 1
        return self.tokens

    def seat(self, worker: Worker, channel: Channel) -> None:
        """It was asked for: from now on it is one of them."""
        self.fleet[worker.token], self.channels[worker.token] = worker, channel

    def change(self, worker: Worker) -> Worker:
        """What is known of one that has a seat."""
        assert worker.token in self.fleet, f"{worker} has no seat"
        self.fleet[worker.token] = worker
        return worker

    def unseat(self, token: int) -> tuple[Worker, Channel]:
        """It is gone, or never was. Its channel is the caller's to close."""
        self.unread.pop(token, None)
        return self.fleet.pop(token), self.channels.pop(token)

    # -- what they were told -----------------------------------------------------------------------------------------

    def told(self, token: int, *, stacks: bool = False) -> None:
        """See that it reads what it was told; `stacks`: which asks for its stacks, as something before may have."""
        before = self.unread.get(token)
        self.unread[token] = Unread(stacks=stacks or (before is not None and before.stacks))

    def looked_at(self, token: int, again: float) -> None:
        """It was looked at whether it has read that, and will be again then."""
        unread = self.unread[token]
        unread.look_at, unread.looks = again, unread.looks + 1

    def has_read(self, token: int) -> None:
        """It has, or it is left alone."""
        del self.unread[token]

    # -- the account of a slot, and of a pool ------------------------------------------------------------------------

    def strike(self, slot: Slot, struck: Callable[[Strikes], Strikes]) -> Strikes:
        """One more against this slot."""
        self.strikes[slot] = struck(self.strikes.get(slot, Strikes()))
        return self.strikes[slot]

    def strikes_of(self, pool: str) -> Iterator[tuple[int, Strikes]]:
        """Those of a pool's slots."""
        return ((slot, strikes) for (name, slot), strikes in self.strikes.items() if name == pool)

    def forgive(self, slot: Slot) -> None:
        self.strikes.pop(slot, None)

    def forgive_all(self) -> None:
        """New code, new accounts."""
        self.strikes.clear()

    def could_not_boot(self, pool: str, failure: Failure) -> None:
        self.trouble[pool] = failure

    def booted(self, pool: str) -> None:
        self.trouble.pop(pool, None)

    def spent(self, pool: str, cpu: float) -> None:
        """Seconds of CPU time of one that is gone."""
        self.departed_cpu[pool] = self.departed_cpu.get(pool, 0.0) + cpu

    def bequeath(self, slot: Slot, left: Bequest) -> Bequest | None:
        """For the next one in this slot; return what was there for him before."""
        before, self.bequests[slot] = self.bequests.get(slot), left
        return before

    def take_bequest(self, slot: Slot) -> Bequest:
        """It is the caller's to close."""
        return self.bequests.pop(slot)

    # -- ends that came before the names -----------------------------------------------------------------------------

    def reaped_stranger(self, pid: int, status: int, cpu: float) -> None:
        """Somebody has ended, and some worker's process id is not known yet: it may be that one."""
        self.strangers[pid] = (status, cpu)

    def end_of(self, pid: int) -> tuple[int, float] | None:
        """How the stranger of that process id ended, to be told once."""
        return self.strangers.pop(pid, None)

    def all_are_known(self) -> bool:
        return all(worker.pid for worker in self.fleet.values())

    def forget_strangers(self) -> None:
        """Nobody's name is missing, so they were nobody's."""
        if self.all_are_known():
            self.strangers.clear()


@dataclass(slots=True)
class Targets:
    """How many workers are wanted, beside what the plan says."""

    adjusted: dict[str, int] = field(default_factory=dict)  # pool: workers more or less than the plan says
    manual: set[str] = field(default_factory=set)  # pools whose target an operator set: no longer elastic
    paused: bool = False  # WINCH: no workers until a reload

    def of(self, pool: PoolPlan) -> int:
        """The target of a pool, while it is not paused."""
        return max(0, pool.workers + self.adjusted.get(pool.name, 0))

    def resize(self, pool: PoolPlan, workers: int) -> None:
        """Its load asks for so many."""
        self.adjusted[pool.name] = workers - pool.workers

    def order(self, pool: PoolPlan, workers: int) -> None:
        """An operator wants so many, whatever its load."""
        self.resize(pool, workers)
        self.manual.add(pool.name)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


@dataclass(slots=True)
class Leaving:
    """Children told to go that are not reaped yet, of all kinds but workers."""

    names: dict[int, str] = field(default_factory=dict)  # what they are, by process id
    by: dict[int, float] = field(default_factory=dict)  # when those of them are killed that have a time for it

    def expect(self, pid: int, name: str) -> None:
        """It was told to go."""
        self.names[pid] = name

    def allow(self, pid: int, until: float) -> None:
        """It is killed if it has not gone by then."""
        self.by[pid] = until

    def reaped(self, pid: int) -> None:
        del self.names[pid]
        self.by.pop(pid, None)

    def overdue(self, now: float) -> list[int]:
        """Those whose time is over, each once."""
        late = [pid for pid, by in self.by.items() if by <= now]
        for pid in late:
            del self.by[pid]
        return late
