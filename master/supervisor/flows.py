"""Flows: the peers of pools with `affinity = "peer"`, each of which has a slot, and the sockets of these slots.

A pool that shrinks takes its peers away from slots before their workers are told to leave, who then empty their queues.
One that grows sends peers to new slots when all of them serve.
Can go wrong: the kernel does not take another rule: told, and peers stay where they are.
"""

from forkful.master.model.events import PeersMoved, Warned
from forkful.master.model.fleet import Phase
from forkful.master.policy import steering
from forkful.master.supervisor import binding
from forkful.master.supervisor.state import State
from forkful.master.system import peer_group
from forkful.master.system.listeners import Listener


def advance(state: State) -> None:
    """Spread peers over as many slots as are wanted now, and can serve."""
    groups = [
        (name, listener)
        for generation in state.all_generations()
        for name, row in generation.listeners.items()
        for listener in row
        if listener.group is not None and listener.is_open
    ]
    targets = {pool.name: pool.target for pool in state.wanted()} if groups else {}
    for name, listener in groups:
        ready = {w.slot for w in state.workers.fleet.values() if w.pool == name and w.phase is Phase.READY}
        _steer(state, name, listener, targets.get(name, 0), ready)


def _steer(state: State, name: str, listener: Listener, target: int, ready: set[int]) -> None:
    group = listener.group
    assert group is not None
    before = group.slots
    after = steering.spread(before, target, ready, settled=state.transaction is None)
    if after == before:
        return
    try:
        peer_group.steer(listener, after)
    except OSError as error:
        group.slots = after  # not to be tried, and told, each time the loop turns
        state.journal.report(Warned(f"{listener.bound}: peers cannot be spread over {after} workers: {error.strerror}"))
        return
    if after > before:
        binding.store(state, listener)
    state.journal.report(PeersMoved(name, before, after, steering.moved(before, after)))
