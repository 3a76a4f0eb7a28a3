"""Waiting, with `reload`: what is done while the newest code cannot be loaded, until a file changes.

The first start does not end then: a generation that stands in has the addresses, and answers over HTTP that the
application cannot be loaded; at other addresses clients wait in the queue. Where an older generation serves, its
workers are told what is wrong, to show it to browsers.
Can go wrong: even the one that stands in cannot serve: then it is a start that failed, as without `reload`.
"""

import time
from dataclasses import replace

from forkful.conf.plan import Plan, PoolPlan
from forkful.master.model.events import StartFailed, Waiting
from forkful.master.model.fleet import Failure
from forkful.master.supervisor import delivery
from forkful.master.supervisor.generations import Generation
from forkful.master.supervisor.state import State
from forkful.master.supervisor.transaction import Transaction
from forkful.worker.ipc import messages, reload_messages

HANDLER = "forkful.handlers.stand_in:application"
_MENDABLE = frozenset({"load", "boot"})  # by a change of the application's files


def instead(state: State, transaction: Transaction, failure: Failure) -> Plan | None:
    """What to serve in place of a first generation that has failed; None: nothing, this is the end."""
    plan, candidate = transaction.plan, transaction.candidate
    if plan is None or candidate is None or failure.kind not in _MENDABLE or state.server is not None or state.probe:
        return None
    if not plan.master.reload or plan.stand_in:
        return None
    state.watch.tries(plan)
    state.journal.report(StartFailed(failure.message, failure.traceback))
    state.last_reload.failed(time.time(), failure)
    pools = tuple(_pool(pool, candidate) for pool in plan.pools)
    return replace(plan, pools=pools, stand_in=True, warnings=())


def _pool(pool: PoolPlan, candidate: Generation) -> PoolPlan:
    speaks_http = all(
        address.scheme.startswith("http") or (address.scheme == "fd" and listener.kind.value == "stream")
        for address, listener in zip(pool.bind, candidate.listeners[pool.name], strict=True)
    )
    if not speaks_http:
        return replace(pool, workers=0, workers_min=0, workers_max=0)
    return replace(pool, handler=HANDLER, interface="wsgi", workers=1, workers_min=0, workers_max=0, preload=True)


def begins(state: State, new: Generation) -> bool:
    """Whether it is what stands in that has come to serve; told."""
    if new.plan.stand_in:
        state.journal.report(Waiting())
    return new.plan.stand_in


def show(state: State, failure: Failure) -> None:
    """Have workers show to browsers what is wrong."""
    current = state.current
    if current is None or not current.plan.master.reload:
        return
    told = reload_messages.Mistaken(messages.cut(failure.message), messages.cut(failure.traceback))
    for token in state.workers.fleet:
        delivery.tell(state, token, told)


def tell(state: State, token: int) -> None:
    """The same to one who has come since."""
    goal, last = state.goal(), state.last_reload
    if goal is not None and goal.plan.master.reload and not last.successful and _is_old(state, token):
        told = reload_messages.Mistaken(messages.cut(last.message), messages.cut(last.traceback))
        delivery.tell(state, token, told)


def _is_old(state: State, token: int) -> bool:
    """Whether it is of the generation that serves although another was to, or stands in for that."""
    generation = state.generation(state.workers.fleet[token].generation)
    return generation is not None and (generation is state.current or generation.plan.stand_in)
