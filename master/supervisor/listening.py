"""What is listened on: the numbers that pools and addresses have on the scoreboard, and what the service manager keeps.

Only the methods here write these tables.
Can go wrong: there are more pools or addresses than the scoreboard has cells: `BindError`.
"""

from collections.abc import Set as AbstractSet
from dataclasses import field

from forkful.conf.light import dataclass
from forkful.conf.plan import PoolPlan
from forkful.master.system.listeners import BindError, Listener
from forkful.worker.ipc import peer_table
from forkful.worker.ipc.peer_table import PeerMemory
from forkful.worker.ipc.scoreboard import MAX_LISTENERS, MAX_POOLS


@dataclass(slots=True)
class Listening:
    """`pools` number pools on the scoreboard, and only grow. Descriptors in the manager's store go by their names."""

    pools: dict[str, int] = field(default_factory=dict)
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)  # (pool, address): cell behind ACCEPTED
    adopted: dict[str, Listener] = field(default_factory=dict)  # drop-in mode: bound by the script, by address
    stored: dict[str, int] = field(default_factory=dict)  # descriptors that the service manager kept, by name
    forgotten: list[str] = field(default_factory=list)  # what of that we have no use for
    kept: set[str] = field(default_factory=set)  # names of the listeners that we had the manager store
    tables: dict[str, PeerMemory] = field(default_factory=dict)  # of peers, by pool, for those with limits by address

    # -- numbers -----------------------------------------------------------------------------------------------------

    def go_on(self, pools: dict[str, int], numbers: dict[tuple[str, str], int], tables: dict[str, PeerMemory]) -> None:
        """The cells are those of the image before us, and so are the tables."""
        self.pools, self.numbers, self.tables = pools, numbers, tables

    def table(self, pool: PoolPlan) -> PeerMemory | None:
        """That of this pool, for all its generations; None: it has no limits by address. Raises OSError."""
        if not (pool.max_connections_per_ip or pool.max_rate_per_ip):
            return None
        table = self.tables.get(pool.name)
        if table is not None and table.layout != peer_table.LAYOUT:  # workers of the version before go on with theirs
            self.tables.pop(pool.name).close()
            table = None
        if table is None:
            table = self.tables[pool.name] = peer_table.make()
        return table

    def number_pool(self, name: str) -> None:
        if name not in self.pools:
            if len(self.pools) >= MAX_POOLS:
                raise BindError(
                    f"pool {name}: there were {MAX_POOLS} pools of different names since the start; restart"
                )
            self.pools[name] = len(self.pools)

    def number_address(self, pool: str, address: str, wanted: AbstractSet[str]) -> None:
        """Give a pool's address its cell. One of an address that is not `wanted` any more may be used again."""
        if (pool, address) in self.numbers:
            return
        for key in [key for key in self.numbers if key[0] == pool and key[1] not in wanted]:
            if sum(key[0] == pool for key in self.numbers) >= MAX_LISTENERS:
                del self.numbers[key]
        free = set(range(MAX_LISTENERS)) - {n for (name, _), n in self.numbers.items() if name == pool}
        if not free:
            raise BindError(f"pool {pool}: at most {MAX_LISTENERS} addresses")
        self.numbers[pool, address] = min(free)

    # -- what others opened ------------------------------------------------------------------------------------------

    def adopt(self, listener: Listener) -> None:
        """The script bound it."""
        self.adopted[str(listener.address)] = listener

    def handed_back(self, stored: dict[str, int]) -> None:
        """The manager kept these for us."""
        self.stored = stored

    def take(self, name: str) -> int | None:
        """The descriptor that was kept under this name; it is the caller's now."""
        return self.stored.pop(name, None)

    def has_no_use_for(self, name: str) -> None:
        """The manager shall let go of it, once a generation serves."""
        self.forgotten.append(name)

    def take_the_rest(self) -> list[int]:
        """The descriptors that nobody has asked for: the caller closes them."""
        rest, self.stored = self.stored, {}
        self.forgotten += rest
        return [*rest.values()]

    def take_forgotten(self) -> list[str]:
        """The names that the manager is told to let go of, each once."""
        names, self.forgotten = self.forgotten, []
        return names

    def keep(self, name: str) -> None:
        """The manager has it now."""
        self.kept.add(name)

    def drop(self, name: str) -> None:
        """The manager has it no longer."""
        self.kept.discard(name)
