"""Succession: what a worker leaves to the one after it in its slot, and when that one may begin.

A worker that wants to know asks (`Heir`), and is answered when those before it in its slot are gone or have said that
they have nothing in hand any more; in a pool where slots share their sockets, also as soon as one has left something.
What was left waits here for the next one: it is for that one alone, so it is forgotten when that one ends. In a pool
that was made smaller it waits until it grows: together no more than what its workers had themselves.
Can go wrong: what a worker calls a bequest is none, or comes when nobody asked for it: closed, and nobody gets it.
"""

from dataclasses import replace

from forkful.master.model.events import NotBequeathed
from forkful.master.model.fleet import Phase, Worker
from forkful.master.supervisor import delivery
from forkful.master.supervisor.state import State
from forkful.worker.ipc import bequest, messages
from forkful.worker.ipc.bequest import Bequest

Said = messages.Heir | messages.Bequest | messages.Passed


def heard(state: State, worker: Worker, message: Said) -> None:
    """What a worker says of it."""
    match message:
        case messages.Heir():
            state.workers.change(replace(worker, heir=True))
        case messages.Passed() if worker.phase is Phase.DRAINING:
            state.workers.change(replace(worker, passed=True))
        case messages.Bequest():
            _leaves(state, worker)


def _leaves(state: State, worker: Worker) -> None:
    channel = state.workers.channels[worker.token]
    if not channel.fds or worker.phase is not Phase.DRAINING or not bequest.is_sound(channel.fds[0]):
        channel.drop_fds()
        state.journal.report(NotBequeathed(worker, "it is no memory of the right kind, or comes when nobody asked"))
        return
    left = Bequest(channel.fds.pop(0), worker.token)
    if (before := state.workers.bequeath((worker.pool, worker.slot), left)) is not None:
        before.close()


def ended(state: State, worker: Worker) -> None:
    """It is gone: what was left to it, and was not asked for, is left to nobody."""
    slot = (worker.pool, worker.slot)
    left = state.workers.bequests.get(slot)
    if left is not None and left.token < worker.token and worker.served and not worker.heir:
        state.workers.take_bequest(slot).close()


def advance(state: State) -> None:
    """Answer those who may know."""
    for worker in [worker for worker in state.workers.fleet.values() if worker.heir]:
        _answer(state, worker)
    _forget(state)


def _answer(state: State, worker: Worker) -> None:
    slot = (worker.pool, worker.slot)
    left = state.workers.bequests.get(slot)
    left = left if left is not None and left.token < worker.token else None
    others = [x for x in state.workers.fleet.values() if (x.pool, x.slot) == slot and x.token != worker.token]
    if _has_own_socket(state, worker):
        waits = any(other.holds and not other.passed for other in others)
    else:
        waits = left is None and any(other.served and other.token < worker.token for other in others)
    if waits or (left is not None and state.workers.channels[worker.token].pending):  # it reads nothing: not yet
        return
    delivery.tell(state, worker.token, messages.Inherited(left is not None), left)
    if left is not None:
        state.workers.take_bequest(slot).close()
    state.workers.change(replace(worker, heir=False, holds=True))


def _has_own_socket(state: State, worker: Worker) -> bool:
    generation = state.generation(worker.generation)
    pool = generation.pool(worker.pool) if generation is not None else None
    return pool is not None and pool.affinity == "peer"


def _forget(state: State) -> None:
    """What was left in pools that are gone. A slot of a pool that was made smaller may have a worker again."""
    if not state.workers.bequests:
        return
    pools = {pool.name for pool in state.wanted()}
    for name, slot in [*state.workers.bequests]:
        if name not in pools:
            state.workers.take_bequest((name, slot)).close()
