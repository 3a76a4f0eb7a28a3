"""The inventory: the facts document that the admin child shows, made from the house.

Can go wrong: nothing.
"""

import math

from forkful.conf.plan import PoolPlan
from forkful.master.model import facts as shapes
from forkful.master.model.fleet import Phase, Worker
from forkful.master.supervisor.state import House
from forkful.master.system.listeners import Listener, queue_facts


def facts(house: House, now: float) -> shapes.Facts:
    """Everything about the house at this moment."""
    ready, reason = house.readiness()
    last = house.last_reload
    current = house.current
    return {
        "name": current.plan.master.name if current is not None else "forkful",
        "pid": house.pid,
        "version": house.version,
        "phase": house.phase.name,
        "generation": current.number if current is not None else 0,
        "started_at": house.started_at,
        "ready": ready,
        "reason": reason,
        "reload": {
            "successful": last.successful,
            "finished_at": last.finished_at,
            "success_at": last.success_at,
            "message": last.message,
            "traceback": last.traceback,
        },
        "counters": {
            "reloads": {"success": house.journal.reloads["success"], "failure": house.journal.reloads["failure"]},
            "upgrades": {"success": house.journal.upgrades["success"], "failure": house.journal.upgrades["failure"]},
        },
        "pools": [_pool(house, pool, now) for pool in _pools(house)],
        "molds": [
            {"generation": mold.generation, "pid": mold.pid, "phase": "READY" if mold.ready else "STARTING"}
            for mold in house.molds()
        ],
        "admin": [listener.bound for listener in house.admin.listeners],
    }


def _pools(house: House) -> list[PoolPlan]:
    """The pools of the current generation, and those on their way in or out."""
    pools: dict[str, PoolPlan] = {}
    candidate = house.transaction.candidate if house.transaction is not None else None
    for generation in (house.current, candidate, *reversed(house.retired)):
        if generation is not None:
            pools |= {pool.name: pool for pool in generation.plan.pools if pool.name not in pools}
    return list(pools.values())


def _pool(house: House, pool: PoolPlan, now: float) -> shapes.Pool:
    workers = sorted((w for w in house.fleet.values() if w.pool == pool.name), key=lambda w: (w.slot, w.generation))
    throttled = [s.not_before - now for (name, _), s in house.strikes.items() if name == pool.name]
    trouble = house.trouble.get(pool.name)
    return {
        "name": pool.name,
        "number": house.pools[pool.name],
        "handler": pool.handler,
        "target": house.target(pool),
        "threads": pool.threads,
        "preload": pool.preload,
        "trouble": trouble.message if trouble is not None else "",
        "throttled_for": max(0.0, *throttled) if throttled else 0.0,
        "starts": house.journal.starts[pool.name],
        "exits": dict(house.journal.exits[pool.name]),
        "departed_cpu_seconds": house.departed_cpu.get(pool.name, 0.0),
        "listeners": [_listener(house, pool.name, listener) for listener in _listeners(house, pool.name)],
        "workers": [_worker(worker, now) for worker in workers],
    }


def _listeners(house: House, pool: str) -> list[Listener]:
    found: dict[str, Listener] = {}
    for generation in house.all_generations():
        found |= {str(x.address): x for x in generation.listeners.get(pool, ())}
    return list(found.values())


def _listener(house: House, pool: str, listener: Listener) -> shapes.Listener:
    queue = queue_facts(listener)
    return {
        "address": listener.bound,
        "index": house.numbers[pool, str(listener.address)],
        "kind": listener.kind.value,
        "queue": queue.length,
        "limit": queue.limit,
        "drops": queue.drops,
    }


def _worker(worker: Worker, now: float) -> shapes.Worker:
    phase: Phase = worker.phase
    return {
        "slot": worker.slot,
        "pid": worker.pid,
        "generation": worker.generation,
        "phase": phase.name,
        "age": now - (worker.born if math.isinf(worker.ready_at) else worker.ready_at),
        "row": worker.row,
        "lanes": worker.lanes,
    }
