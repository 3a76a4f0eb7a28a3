"""The rounds: what the master looks at when its time has come, to feed the vigil, wear and elastic pools with facts.

Each look has a computed time; without limits to watch there is none, and the master sleeps.
Can go wrong: a process is gone before it is sampled; it is then left out.
"""

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import replace

from forkful.conf.plan import PoolPlan
from forkful.master.model.events import LoopBlocked, RequestOverdue, Scaled, WorkerRetiring
from forkful.master.model.fleet import Patience, Phase, Reason, Worker
from forkful.master.policy import autoscale, overdue, retirement
from forkful.master.supervisor import actions, delivery
from forkful.master.supervisor.state import State
from forkful.master.system import processes
from forkful.master.system.listeners import queue_facts
from forkful.worker.ipc import messages
from forkful.worker.ipc.scoreboard import ACTIVE, BUSY, HEARTBEAT, HELD, OVERLAPS, SINCE, UNTIMED

_PAGE = os.sysconf("SC_PAGE_SIZE")
_LAST_LOOK = 1.0  # seconds for a worker to write its stacks, and between looks at one that is to go
_BEAT = 2.0  # seconds between the heartbeats of an event loop, `worker.aio_ledger`
_STALL = 1.0  # seconds by which a look may be late


def advance(state: State, now: float) -> float:
    """Look at what is due; return when to look again."""
    rounds = state.rounds
    if 0 < rounds.vigil_at <= now - _STALL:
        # We did not run ourselves, so neither did they: everybody was frozen, or the machine has no time for anyone.
        rounds.vigil_at = now + _STALL
    elif rounds.vigil_at <= now:
        rounds.vigil_at = _vigil(state, now)
    if rounds.wear_at <= now:
        rounds.wear_at = _wear(state, now)
    if rounds.resize_at <= now:
        rounds.resize_at = _resize(state, now)
    return min(rounds.vigil_at, rounds.wear_at, rounds.resize_at)


def anew(state: State) -> None:
    """Look at everything again, for there are new workers or new settings."""
    state.rounds.vigil_at = state.rounds.wear_at = state.rounds.resize_at = 0.0


def _workers(state: State, *phases: Phase) -> Iterator[tuple[Worker, PoolPlan]]:
    for worker in [*state.workers.fleet.values()]:
        generation = state.generation(worker.generation)
        pool = generation.pool(worker.pool) if generation is not None else None
        if pool is not None and worker.phase in phases:
            yield worker, pool


# -- requests that take too long -----------------------------------------------------------------------------------


def _vigil(state: State, now: float) -> float:
    watched, lethal = {}, set()
    for worker, pool in _workers(state, Phase.READY, Phase.DRAINING):
        if pool.timeout and (worker.phase is Phase.READY or _is_condemned(worker)):
            others, blocked = _others(state, worker, pool.timeout, now), _blocked(state, worker, now)
            since = _since(state, worker)
            watched[worker.token] = overdue.Watched(worker.token, pool.timeout, since, others, blocked, worker.doomed)
            lethal |= {worker.token} if pool.timeout_action == "kill" else set()
    found, again = overdue.look(watched.values(), now)
    before, state.rounds.reported = state.rounds.reported, {}
    for late in found:
        worker = state.workers.fleet[late.token]
        told = before.get(worker.token, {})
        if worker.phase is Phase.READY and (new := overdue.news(late, told, now)):
            told = {start: age for start, age in (told | new).items() if start in late.starts}
            action = "it is replaced" if worker.token in lethal else "only reported"
            _report(state, worker, late, action, now)
        state.rounds.reported[worker.token] = told
        if worker.token in lethal:
            _condemn(state, worker, late, now)
    condemned = any(_is_condemned(state.workers.fleet[token]) for token in watched)
    return min(again, now + _LAST_LOOK) if condemned else again


def _report(state: State, worker: Worker, overdue: overdue.Overdue, action: str, now: float) -> None:
    age = now - overdue.oldest
    event = (
        LoopBlocked(worker, age, action)
        if overdue.blocked
        else RequestOverdue(worker, len(overdue.starts), age, action)
    )
    state.journal.report(event)
    delivery.tell(state, worker.token, messages.Stacks())


def _condemn(state: State, worker: Worker, late: overdue.Overdue, now: float) -> None:
    """See that a worker with a stuck request goes: now if it has nothing else, otherwise once the rest is finished."""
    alone = not late.others
    if not worker.doomed:
        worker = replace(worker, doomed=late.starts)
        state.workers.change(worker)
    if worker.phase is Phase.DRAINING:
        if alone and worker.deadline > now + _LAST_LOOK:
            state.workers.change(replace(worker, deadline=now))
    elif alone:
        actions.drain(state, worker, Reason.TIMEOUT, now, patience=_LAST_LOOK)
    elif worker.retiring is not Reason.TIMEOUT:
        state.workers.change(replace(worker, retiring=Reason.TIMEOUT))


def _is_condemned(worker: Worker) -> bool:
    return Reason.TIMEOUT in (worker.leaving, worker.retiring) and worker.patience is Patience.WHOLE


def _others(state: State, worker: Worker, timeout: float, now: float) -> int:
    """What a worker has, or may have any moment, beside the requests that its lanes' rows show."""
    rows = [state.board.row(number) for number in range(worker.row, worker.row + worker.lanes)]
    draining = worker.phase is Phase.DRAINING
    if connections := rows[0][ACTIVE]:  # an event loop: it goes on with the others, unless it is stuck as a whole
        heartbeat = rows[0][HEARTBEAT]  # 0: its first connection has only just come
        stuck = heartbeat and now - heartbeat / 1e9 > max(timeout, 2 * _BEAT)
        return 0 if stuck else connections - (draining and worker.quiet)
    idle = 0 if draining and worker.quiet else sum(not row[SINCE] for row in rows)
    return rows[0][HELD] + idle


def _blocked(state: State, worker: Worker, now: float) -> float:
    """When its event loop must have turned last, if a heartbeat is missing; `math.inf`: it turns, or has no need to."""
    row = state.board.row(worker.row)
    heartbeat = row[HEARTBEAT]  # read once: the worker writes meanwhile
    turned = heartbeat / 1e9 + _BEAT  # it may have turned until the next heartbeat was due
    return turned if heartbeat and row[ACTIVE] and turned < now else math.inf


def _since(state: State, worker: Worker) -> tuple[float, ...]:
    rows = (state.board.row(number) for number in range(worker.row, worker.row + worker.lanes))
    # Read once: a request that ends between two looks would be one that has lasted since the machine was started.
    return tuple(since / 1e9 for row in rows if (since := row[SINCE]) and not row[UNTIMED])


# -- workers that are used up --------------------------------------------------------------------------------------


def _wear(state: State, now: float) -> float:
    watched = []
    sampled = False
    is_time = now >= state.rounds.sampled_at + retirement.EVERY
    for worker, pool in _workers(state, Phase.READY):
        if worker.retiring is not None or not (pool.max_rss or pool.max_worker_age):
            continue
        rss = resident(worker.pid) if pool.max_rss and is_time else None
        sampled |= pool.max_rss > 0
        beyond = state.rounds.beyond.get(worker.token, 0)
        watched.append(retirement.Worn(worker.token, worker.ready_at, pool.max_worker_age, pool.max_rss, rss, beyond))
    used, state.rounds.beyond, wake_at = retirement.judge(watched, now)
    for token, reason in used.items():
        worker = state.workers.fleet[token]
        state.workers.change(replace(worker, retiring=reason))
        state.journal.report(WorkerRetiring(worker, reason))
    if sampled and is_time:
        state.rounds.sampled_at = now
    return min(wake_at, state.rounds.sampled_at + retirement.EVERY) if sampled else wake_at


def resident(pid: int) -> int | None:
    """Resident memory in bytes, proc(5): the second figure of statm."""
    with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123  # hot
        return int(file.read().split()[1]) * _PAGE
    return None


# -- elastic pools -------------------------------------------------------------------------------------------------


def _resize(state: State, now: float) -> float:
    pools = state.current.plan.pools if state.current is not None else ()
    wake_at = math.inf
    if now < state.rounds.measured_at + autoscale.EVERY:  # a shorter time would say little
        return state.rounds.measured_at + autoscale.EVERY
    state.rounds.measured_at = now
    state.rounds.marks = {token: mark for token, mark in state.rounds.marks.items() if token in state.workers.fleet}
    for pool in pools:
        if not pool.workers_max or pool.name in state.targets.manual or state.stop is not None or state.targets.paused:
            continue
        wake_at = now + autoscale.EVERY
        before = state.rounds.pulses.get(pool.name, autoscale.Pulse())
        least, most = max(1, pool.workers_min), pool.workers_max
        target, pulse = autoscale.resize(_load(state, pool, now), before, least=least, most=most, now=now)
        state.rounds.pulses[pool.name] = pulse
        if target != state.target(pool):
            why = "its lanes are busy" if target > state.target(pool) else "its lanes are idle"
            state.targets.resize(pool, target)
            state.journal.report(Scaled(pool.name, target, why))
    return wake_at


def _load(state: State, pool: PoolPlan, now: float) -> autoscale.Load:
    busy = 0.0
    for worker in state.workers.fleet.values():
        if worker.pool == pool.name and worker.phase is Phase.READY:
            before, after = state.rounds.marks.get(worker.token), _mark(state, worker, pool, now)
            busy += autoscale.busy(before, after, worker.lanes)
            state.rounds.marks[worker.token] = after
    listeners = state.current.listeners[pool.name] if state.current is not None else ()
    queued = sum(queue_facts(listener).length or 0 for listener in listeners)
    return autoscale.Load(state.target(pool), pool.threads, busy, queued)


def _mark(state: State, worker: Worker, pool: PoolPlan, now: float) -> autoscale.Mark:
    """What it has done so far. Where requests overlap, what counts is the CPU time that their loop had or wanted."""
    rows = [state.board.row(number) for number in range(worker.row, worker.row + worker.lanes)]
    if rows[0][OVERLAPS]:
        blocked = _blocked(state, worker, now) < now
        full = 1.0 if blocked else rows[0][ACTIVE] / pool.max_connections
        return autoscale.Mark(now, worker.lanes * processes.wanted(worker.pid), full)
    done = sum(row[BUSY] for row in rows) / 1e9
    return autoscale.Mark(now, done + sum(now - since for since in _since(state, worker)))
