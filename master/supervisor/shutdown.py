"""Stopping: go on accepting for a while, let the workers finish, then the helpers, then leave.

Can go wrong: a worker that does not finish is policy's; a helper that does not leave is killed.
"""

import math
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace

from forkful.master.model.events import Stopped, Stopping
from forkful.master.model.fleet import Reason
from forkful.master.policy.machine import look_up
from forkful.master.policy.stop import PATIENCE, TABLE, Do, Event, Stage
from forkful.master.supervisor import actions, binding, commands, reload
from forkful.master.supervisor.state import State
from forkful.master.supervisor.stopping import Stop
from forkful.master.system import children, listeners

_MARGIN = 10.0  # seconds beyond drain_delay and graceful_timeout that we ask of the service manager


def begin(state: State, *, quick: bool, why: str, now: float) -> None:
    """Begin to stop, or make a stop under way quick."""
    state.stop = state.stop or Stop()
    state.stop.because(why)
    happened(state, Event.HURRIED if quick else Event.ASKED, now)


def happened(state: State, event: Event, now: float) -> None:
    """Look up what this event means at this stage, enter the stage that is next, and act."""
    stop = state.stop
    assert stop is not None
    row = look_up(TABLE, stop.stage, event)
    if row.do is not Do.GO_ON or row.next is not stop.stage:
        stop.enter(row.next, now + PATIENCE.get(row.next, math.inf))
    ACTIONS[row.do](state, stop, now)


def advance(state: State, now: float) -> float:
    """Go on if something has happened; return when to ask again."""
    stop = state.stop
    if stop is None:
        return math.inf
    event = _event(state, stop, now)
    if event is None:
        return stop.deadline
    happened(state, event, now)
    return now


def _event(state: State, stop: Stop, now: float) -> Event | None:
    """What has happened by itself: seen in the state, or by the clock."""
    match stop.stage:
        case Stage.UP:
            return Event.LOST if state.start_failure is not None else Event.ASKED  # of a probe that is over
        case Stage.DRAINING | Stage.QUITTING if not state.workers.fleet:
            return Event.EMPTY
        case Stage.DISMISSING if not state.leaving.names and not state.commands.running:
            return Event.ALONE
    return Event.OVERDUE if stop.deadline <= now else None


def barrier_is_passed(state: State, now: float) -> None:
    """The manager has read what we said before."""
    if state.stop is not None:
        _close_barrier(state, state.stop)
        if state.stop.stage is Stage.WITHDRAWING:
            happened(state, Event.RELEASED, now)


def is_over(state: State) -> bool:
    """Whether everybody is gone."""
    return state.stop is not None and state.stop.stage is Stage.OVER


def finish(state: State) -> int:
    """Say the last word and give the exit code."""
    state.manager.notifier.flush(0.0)
    state.journal.report(Stopped())
    return state.exit_code or 0


# -- what is done ------------------------------------------------------------------------------------------------------


def _announce(state: State, stop: Stop, now: float) -> None:
    """Tell everybody, and give up what is tried."""
    for worker in [*state.workers.fleet.values()]:
        if worker.retiring is Reason.SIGNAL:  # who told us has told it, too: it needs no successor
            state.workers.change(replace(worker, retiring=None))
    quick = stop.quick
    delay = 0.0 if quick or state.current is None else state.current.plan.master.drain_delay
    how = " now" if quick else f" gracefully, accepting for {delay:g} s more" if delay else " gracefully"
    state.journal.report(Stopping(f"{how} ({stop.why})", stop.why, quick))
    serving = state.current or state.candidate
    graceful = serving.plan.master.graceful_timeout if serving is not None and not quick else 0.0
    commands.end_by(state, now + max(commands.QUICK, delay + graceful))
    patience = int((delay + graceful + _MARGIN) * 1e6)
    reload.give_up(state, now)  # first its READY=1: one that came after STOPPING=1 would take that back
    state.manager.notifier.send(STOPPING=1, STATUS="stopping", EXTEND_TIMEOUT_USEC=patience)
    if not quick:
        stop.allow(now + delay)
        for listener in state.listeners().values():
            listeners.wait_for_nobody(listener)


def _withdraw(state: State, stop: Stop, now: float) -> None:
    """Have the manager let go of our listeners: kept open there, they would take in clients whom nobody serves."""
    if _forget(state):
        stop.wait_at(state.manager.notifier.barrier())
        state.watch_barrier(stop.barrier)
    if stop.barrier < 0:
        happened(state, Event.RELEASED, now)


def _forget(state: State) -> bool:
    kept = [listener for listener in state.listeners().values() if listener.address.scheme != "fd"]
    for listener in kept:
        binding.forget(state, listener)
    return bool(kept)


def _turn_away(state: State, stop: Stop, _now: float) -> None:
    """Close the door behind those who are in the queue, for them to be the last."""
    _close_barrier(state, stop)
    for listener in state.listeners().values():
        listeners.turn_away(listener)


def _drain(state: State, _stop: Stop, _now: float) -> None:
    """Leave the listeners to the workers, who empty the queues: who comes after that is refused, and not kept waiting.

    Nobody is cast any more, so the molds, which have the sockets too, may go. Policy drains the workers.
    """
    for generation in state.all_generations():
        actions.dismiss_mold(state, generation)
    for listener in state.listeners().values():
        listener.close()


def _end(state: State, stop: Stop, now: float) -> None:
    _announce(state, stop, now)
    _quit(state, stop, now)


def _hurry(state: State, stop: Stop, now: float) -> None:
    state.journal.report(Stopping(f" now ({stop.why})", stop.why, quick=True))
    commands.end_by(state, now + commands.QUICK)
    _quit(state, stop, now)


def _quit(state: State, stop: Stop, now: float) -> None:
    """Have everybody leave at once."""
    _close_barrier(state, stop)
    _forget(state)
    _drain(state, stop, now)
    for worker in [*state.workers.fleet.values()]:
        actions.quit_now(state, worker, now)


def _dismiss(state: State, _stop: Stop, _now: float) -> None:
    actions.dismiss_admin(state)  # it leaves when its channel closes


def _kill(state: State, _stop: Stop, _now: float) -> None:
    for pid in state.leaving.names:
        children.send_signal(pid, signal.SIGKILL)


def _close_barrier(state: State, stop: Stop) -> None:
    if (barrier := stop.pass_barrier()) >= 0:
        state.unwatch(barrier)
        os.close(barrier)


def _go_on(_state: State, _stop: Stop, _now: float) -> None:
    """The stage says it all."""


ACTIONS: Mapping[Do, Callable[[State, Stop, float], None]] = {
    Do.ANNOUNCE: _announce,
    Do.WITHDRAW: _withdraw,
    Do.TURN_AWAY: _turn_away,
    Do.DRAIN: _drain,
    Do.END: _end,
    Do.HURRY: _hurry,
    Do.QUIT: _quit,
    Do.DISMISS: _dismiss,
    Do.KILL: _kill,
    Do.GO_ON: _go_on,
}
