"""The generations: the version of code and settings that serves, those that served before it, and their molds.

Only the methods here write them. A candidate is the reload's until it is installed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field

from forkful.conf.light import dataclass
from forkful.conf.plan import Plan, PoolPlan
from forkful.master.policy.throttle import Strikes
from forkful.master.system.listeners import Listener
from forkful.worker.ipc import messages
from forkful.worker.ipc.channel import Channel


@dataclass(slots=True)
class MoldRecord:
    """The mold of a generation, as the master knows it."""

    generation: int
    pid: int
    channel: Channel
    ready: bool = False
    deadline: float = math.inf
    garbled: bool = False  # it said what no mold says, and is killed for that

    def imported(self) -> None:
        """It has, and may be asked for workers."""
        self.ready, self.deadline = True, math.inf

    def ask(self, order: messages.Cast, fds: Sequence[int]) -> None:
        """For a worker. Raises OSError: too many descriptors are on their way, unix(7), or there are none left."""
        self.channel.send(order, fds)
        if self.channel.budget is not None:
            self.channel.budget += 2

    def condemn(self) -> None:
        """Its time is over, and it is killed."""
        self.deadline = math.inf

    def misspoke(self) -> bool:
        """It said what no mold says; return whether that is news."""
        is_news, self.garbled = not self.garbled, True
        return is_news


@dataclass(slots=True)
class Generation:
    """One version of code and settings. `listeners` by pool, in the order of the plan."""

    number: int
    plan: Plan
    listeners: dict[str, tuple[Listener, ...]]
    mold: MoldRecord | None = None
    mold_strikes: Strikes = field(default_factory=Strikes)
    molds: int = 0  # how many it has had
    loaded_at: float = 0.0  # when it came to serve, Unix seconds

    @property
    def anew(self) -> bool:
        """Whether its mold is another one than that which read its code."""
        return self.molds > 1

    def serves(self, at: float) -> float:
        """It is the current one; return since when its code is the service's."""
        self.loaded_at = self.loaded_at or at
        return self.loaded_at

    def pool(self, name: str) -> PoolPlan | None:
        return next((pool for pool in self.plan.pools if pool.name == name), None)

    def each_listener(self) -> Iterator[tuple[PoolPlan, Listener]]:
        """Every one, with the settings of its address."""
        for pool in self.plan.pools:
            for address, listener in zip(pool.bind, self.listeners[pool.name], strict=True):
                yield pool.at(address), listener

    def cast_from(self, mold: MoldRecord) -> None:
        """Its workers come from this mold now."""
        assert self.mold is None, "a generation has one mold at a time"
        self.mold = mold
        self.molds += 1

    def lose_mold(self) -> None:
        """It was let go, or is gone."""
        self.mold = None

    def strike_mold(self, struck: Callable[[Strikes], Strikes]) -> None:
        """One more against its molds."""
        self.mold_strikes = struck(self.mold_strikes)


@dataclass(frozen=True, slots=True)
class Spare:
    """A retired generation whose mold is kept, so that it can be had back: until when (monotonic seconds).

    `loops` are the pools that were in a crash loop while it served: no reason to go back to it.
    """

    number: int
    until: float
    loops: tuple[str, ...] = ()


@dataclass(slots=True)
class Generations:
    """At most one is current, and at most one a spare. `count` numbers them, and only grows."""

    current: Generation | None = None
    retired: list[Generation] = field(default_factory=list)  # kept while workers of theirs live
    count: int = 0
    spare: Spare | None = None  # one of the retired

    def make(self, plan: Plan, listeners: dict[str, tuple[Listener, ...]]) -> Generation:
        """A new one, which serves nobody yet."""
        self.count += 1
        return Generation(self.count, plan, listeners)

    def install(self, whole: Generation) -> Generation | None:
        """It is the current one from now on, by one assignment; return the one before, which is retired."""
        old, self.current = self.current, whole
        if old is not None:
            self.retire(old)
        return old

    def retire(self, generation: Generation) -> None:
        """It gets no workers any more, and stays while it has some."""
        self.retired.append(generation)

    def keep(self, spare: Spare) -> None:
        """This one may be wanted back."""
        self.spare = spare

    def let_go(self) -> None:
        """Nobody wants it back any more."""
        self.spare = None

    def is_spare(self, generation: Generation) -> bool:
        return self.spare is not None and self.spare.number == generation.number

    def take_spare(self) -> Generation:
        """It is wanted back, and a candidate from now on."""
        assert self.spare is not None
        found = next(each for each in self.retired if self.is_spare(each))
        self.retired.remove(found)
        self.spare = None
        return found

    def bury(self, generation: Generation) -> None:
        """The last of its workers is gone."""
        self.retired.remove(generation)

    def all(self) -> Iterator[Generation]:
        """Those that serve or have served, the oldest first."""
        yield from self.retired
        if self.current is not None:
            yield self.current
