"""Stopping: go on accepting for a while, let the workers finish, then the helpers, then leave.

Can go wrong: a worker that does not finish is policy's; a helper that does not leave is killed.
"""

import math
import os
import signal

from forkful.master.model.events import Stopped, Stopping
from forkful.master.model.fleet import Failure
from forkful.master.supervisor import actions, reload
from forkful.master.supervisor.state import State, Stop
from forkful.master.system import children, listeners

_MARGIN = 10.0  # seconds beyond drain_delay and graceful_timeout that we ask of the service manager
_HANDSHAKE = 0.05  # seconds for who was in the middle of a handshake when we turned new clients away
_READING = 1.0  # seconds for the manager to read what we said
_PATIENCE = 2.0  # seconds for mold and admin child, which have nothing to finish


def begin(state: State, *, quick: bool, why: str, now: float) -> None:
    """Begin to stop, or make a stop under way quick."""
    stop = state.stop
    if stop is None:
        delay = 0.0 if quick or state.current is None else state.current.plan.master.drain_delay
        state.stop = Stop(quick, now + delay)
        how = " now" if quick else f" gracefully, accepting for {delay:g} s more" if delay else " gracefully"
        state.journal.report(Stopping(f"{how} ({why})"))
        graceful = state.current.plan.master.graceful_timeout if state.current is not None and not quick else 0.0
        patience = int((delay + graceful + _MARGIN) * 1e6)
        if state.transaction is not None:  # first its READY=1: one that came after STOPPING=1 would take that back
            reload.fail(state, Failure("boot", "the service was stopped meanwhile"), now)
        state.notifier.send(STOPPING=1, STATUS="stopping", EXTEND_TIMEOUT_USEC=patience)
    elif quick and not stop.quick:
        stop.quick = True
        stop.drain_at = now
        state.journal.report(Stopping(f" now ({why})"))
    else:
        return
    if quick:
        for worker in [*state.fleet.values()]:
            actions.quit_now(state, worker, now)


def advance(state: State, now: float) -> float:
    """Take the next step of a stop; return when to ask again."""
    stop = state.stop
    if stop is None:
        return math.inf
    if not stop.draining:
        return _begin_to_drain(state, stop, now)
    if state.fleet:
        return math.inf
    if stop.deadline == math.inf:
        stop.deadline = now + _PATIENCE
        actions.dismiss_admin(state)  # it leaves when its channel closes
    elif now >= stop.deadline:
        for pid in state.leaving:
            children.send_signal(pid, signal.SIGKILL)
        stop.deadline = now + _PATIENCE
    return stop.deadline


def _begin_to_drain(state: State, stop: Stop, now: float) -> float:
    """Wait out the delay, close the door behind those who are in the queue, and have policy drain the workers."""
    if now < stop.drain_at:
        return stop.drain_at
    if not stop.withdrawn:
        stop.withdrawn = True
        _withdraw(state, stop, now)
    if stop.barrier >= 0 and not stop.quick and now < stop.barrier_until:
        return stop.barrier_until
    barrier_is_passed(state)
    if not (stop.turned_away or stop.quick):
        stop.turned_away = True
        stop.drain_at = now + _HANDSHAKE
        for listener in state.listeners().values():
            listeners.turn_away(listener)
        return stop.drain_at
    stop.draining = True
    _let_go(state)
    if stop.quick:
        for worker in [*state.fleet.values()]:
            actions.quit_now(state, worker, now)
    return now


def _withdraw(state: State, stop: Stop, now: float) -> None:
    """Have the manager let go of our listeners: kept open there, they would take in clients whom nobody serves."""
    kept = [listener for listener in state.listeners().values() if listener.address.scheme != "fd"]
    for listener in kept:
        reload.forget(state, listener)
    if kept and not stop.quick:
        stop.barrier, stop.barrier_until = state.notifier.barrier(), now + _READING
        state.watch_barrier(stop.barrier)


def barrier_is_passed(state: State) -> None:
    """The manager has read what we said before, or is not waited for any longer."""
    if state.stop is not None and state.stop.barrier >= 0:
        state.unwatch(state.stop.barrier)
        os.close(state.stop.barrier)
        state.stop.barrier = -1


def is_over(state: State) -> bool:
    """Whether everybody is gone."""
    return state.stop is not None and state.stop.draining and not state.fleet and not state.leaving


def finish(state: State) -> int:
    """Say the last word and give the exit code."""
    state.notifier.flush(0.0)
    state.journal.report(Stopped())
    return state.exit_code or 0


def _let_go(state: State) -> None:
    """Leave the listeners to the workers, who empty the queues: who comes after that is refused, and not kept waiting.

    Nobody is cast any more, so the molds, which have the sockets too, may go.
    """
    for generation in state.all_generations():
        actions.dismiss_mold(state, generation)
    for listener in state.listeners().values():
        listener.close()
