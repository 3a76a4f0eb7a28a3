"""The allowance: what our control groups allow, beside what the settings would take. What does not fit is warned of.

People take over a number of workers that was computed from the CPUs of a whole machine, and in a container these share
a few; and the kernel kills where `max_rss` was to replace.
"""

from collections.abc import Iterator

from forkful.conf.machine import Machine
from forkful.conf.settings import Settings
from forkful.conf.values import Elastic, Section

MANY = 8  # workers for a CPU; handlers that wait may well have some


def beyond(settings: Settings, machine: Machine) -> Iterator[str]:
    """What asks for more than there is."""
    quota, memory = machine.cpu_quota(), machine.memory_limit()
    for pool in settings.pools.values():
        workers = pool["workers"]
        if quota is not None and not workers.note and _most(pool) > MANY * max(1.0, quota):
            yield f"{workers.place}: {_most(pool)} workers share {quota:g} CPUs, the quota of the control group"
    taken = [(pool, pool["max_rss"].value * _most(pool)) for pool in settings.pools.values()]
    total = sum(size for _, size in taken)
    if memory is not None and total > memory:
        place = max(taken, key=lambda each: each[1])[0]["max_rss"].place
        sizes = f"{total / 2**20:,.0f} MiB, and the control group allows {memory / 2**20:,.0f}"
        yield f"{place}: workers may come to {sizes}: the kernel kills one before max_rss replaces it"


def _most(pool: Section) -> int:
    workers = pool["workers"].value
    return workers.most if isinstance(workers, Elastic) else int(workers)
