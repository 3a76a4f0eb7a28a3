"""The inventory: the facts document that the admin child shows, made from the state."""

import math
from collections.abc import Mapping

from forkful.conf.hook_names import NAMES
from forkful.conf.plan import COMMANDS, Plan, PoolPlan
from forkful.master.model import facts as shapes
from forkful.master.model.fleet import Phase, Worker
from forkful.master.policy.canary import Side
from forkful.master.policy.commands import RESULTS
from forkful.master.policy.transaction import Stage
from forkful.master.supervisor.state import State
from forkful.master.system.listeners import Listener, queue_facts
from forkful.worker import compiled


def facts(state: State, now: float) -> shapes.Facts:
    """Everything about the service at this moment."""
    ready, reason = state.readiness()
    last = state.last_reload
    current = state.current
    return {
        "name": current.plan.master.name if current is not None else "forkful",
        "pid": state.pid,
        "version": state.version,
        "code": str(compiled.use()),
        "phase": state.phase.name,
        "generation": current.number if current is not None else 0,
        "started_at": state.started_at,
        "ready": ready,
        "reason": "" if ready else reason,
        "reload": {
            "successful": last.successful,
            "finished_at": last.finished_at,
            "success_at": last.success_at,
            "message": last.message,
            "traceback": last.traceback,
        },
        "counters": {
            "reloads": _outcomes(state.journal.reloads),
            "upgrades": _outcomes(state.journal.upgrades),
            "rollbacks": dict(state.journal.rollbacks),
            "commands": _commands(state),
        },
        "pools": [_pool(state, pool, now) for pool in _pools(state)],
        "molds": [
            {"generation": mold.generation, "pid": mold.pid, "phase": "READY" if mold.ready else "STARTING"}
            for mold in state.molds()
        ],
        "admin": [listener.bound for listener in state.admin.listeners],
        "settings": current.plan.settings if current is not None else "",
        "bake": _bake(state, now),
        "spare": _spare(state, now),
    }


def _outcomes(counts: Mapping[str, int]) -> shapes.Outcomes:
    return {"success": counts["success"], "failure": counts["failure"], "rolled_back": counts["rolled_back"]}


def _bake(state: State, now: float) -> shapes.Bake | None:
    candidate, bake = state.candidate, state.transaction.bake if state.transaction is not None else None
    if candidate is None or bake is None or state.stage is not Stage.BAKING:
        return None
    pools: list[shapes.Compared] = [
        {"pool": name, "old": _side(pair.old), "new": _side(pair.new)} for name, pair in bake.pairs.items()
    ]
    return {"generation": candidate.number, "seconds": max(0.0, bake.ends - now), "pools": pools}


def _side(side: Side) -> shapes.Side:
    return {
        "requests": side.requests,
        "failed": side.failed,
        "stuck": side.stuck,
        "mean_seconds": side.mean,
        "deaths": side.deaths,
        "resident_bytes": side.resident,
    }


def _spare(state: State, now: float) -> shapes.Spare | None:
    spare = state.generations.spare
    return None if spare is None else {"generation": spare.number, "seconds": max(0.0, spare.until - now)}


def _commands(state: State) -> dict[str, dict[str, int]]:
    """By the events that have a program."""
    master = state.current.plan.master if state.current is not None else None
    names = [name for name in COMMANDS if getattr(master, name, ())]
    return {name: {result: state.journal.commands[name][result] for result in RESULTS} for name in names}


def _pools(state: State) -> list[PoolPlan]:
    """The pools of the current generation, and those on their way in or out."""
    pools: dict[str, PoolPlan] = {}
    candidate = state.transaction.candidate if state.transaction is not None else None
    for generation in (state.current, candidate, *reversed(state.generations.retired)):
        if generation is not None:
            pools |= {pool.name: pool for pool in generation.plan.pools if pool.name not in pools}
    return list(pools.values())


def _pool(state: State, pool: PoolPlan, now: float) -> shapes.Pool:
    workers = sorted(
        (w for w in state.workers.fleet.values() if w.pool == pool.name), key=lambda w: (w.slot, w.generation)
    )
    throttled = [s.not_before - now for (name, _), s in state.workers.strikes.items() if name == pool.name]
    trouble = state.workers.trouble.get(pool.name)
    return {
        "name": pool.name,
        "number": state.listening.pools[pool.name],
        "handler": pool.handler,
        "target": state.target(pool),
        "threads": pool.threads,
        "preload": pool.preload,
        "trouble": trouble.message if trouble is not None else "",
        "throttled_for": max(0.0, *throttled) if throttled else 0.0,
        "starts": state.journal.starts[pool.name],
        "exits": dict(state.journal.exits[pool.name]),
        "deaths": state.journal.deaths[pool.name],
        "failed_hooks": {hook: state.journal.failed_hooks[pool.name][hook] for hook in NAMES} if pool.hooks else {},
        "peers_moved": state.journal.moved[pool.name],
        "departed_cpu_seconds": state.workers.departed_cpu.get(pool.name, 0.0),
        "listeners": [_listener(state, pool.name, listener) for listener in _listeners(state, pool.name)],
        "workers": [_worker(worker, now) for worker in workers],
    }


def _listeners(state: State, pool: str) -> list[Listener]:
    found: dict[str, Listener] = {}
    for generation in state.all_generations():
        found |= {str(x.address): x for x in generation.listeners.get(pool, ())}
    return list(found.values())


def _listener(state: State, pool: str, listener: Listener) -> shapes.Listener:
    queue = queue_facts(listener)
    current = state.current
    return {
        "address": listener.bound,
        "index": state.listening.numbers[pool, str(listener.address)],
        "kind": listener.kind.value,
        "queue": queue.length,
        "limit": queue.limit,
        "drops": queue.drops,
        "slots": [*queue.slots],
        "certificates": [] if current is None else _certificates(current.plan, pool, listener),
    }


def _certificates(plan: Plan, name: str, listener: Listener) -> list[shapes.Certificate]:
    pool = next((each.at(listener.address) for each in plan.pools if each.name == name), None)
    if pool is None or not pool.secures(listener.address, listener.sock.family):
        return []
    files = {pool.certfile, *(file for file, _ in pool.certificates)}
    return [{"name": each.name, "expires": each.expires} for each in plan.certificates if each.file in files]


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
