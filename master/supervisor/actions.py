"""The hands: carry out what policy decided. Each function does one action and notes it in the state.

Can go wrong: a process is gone before its signal arrives, or the kernel refuses a fork; both are survived here.
"""

import math
import os
import random
import signal
from dataclasses import replace

from forkful.master.admin import entry
from forkful.master.admin.gate import Gate
from forkful.master.model.events import AdminGone, MoldStarted, Throttled, Warned, WorkerDraining, WorkerOverdue
from forkful.master.model.fleet import Failure, Patience, Phase, Reason, Worker
from forkful.master.policy.pools import Abort, Action, Cast, Drain, Kill
from forkful.master.policy.throttle import Strikes, is_young, strike
from forkful.master.supervisor import delivery
from forkful.master.supervisor.generations import Generation, MoldRecord
from forkful.master.supervisor.mold import Mold, PoolShape
from forkful.master.supervisor.state import State
from forkful.master.system import children, identity, peer_group, spawn
from forkful.worker.ipc import messages
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.scoreboard import ScoreboardFullError

LAST_WORDS = 2.0  # seconds between ABRT, which dumps stacks, and KILL
ADMIN = "admin"
EARLY_LEAVE = 5.0  # patience with a worker that is told to leave before it was ready


def carry_out(state: State, action: Action, now: float) -> bool:
    """Do it; return whether the state is different now (a cast may have to wait for its mold)."""
    match action:
        case Cast():
            return cast(state, action, now)
        case Drain(worker=worker, reason=reason):
            drain(state, worker, reason, now)
        case Abort(worker=worker):
            abort(state, worker, now)
        case Kill(worker=worker):
            kill(state, worker)
    return True


# -- molds and workers ---------------------------------------------------------------------------------------------


def start_mold(state: State, generation: Generation, now: float) -> None:
    """Fork the mold of a generation, if it may be started now."""
    if generation.mold is not None or now < generation.mold_strikes.not_before:
        return
    try:
        tables = {pool.name: state.listening.table(pool) for pool in generation.plan.pools}
        ours, theirs = Channel.pair()
    except OSError as error:
        _no_mold(state, generation, error, now)
        return
    shapes = {}
    for pool in generation.plan.pools:
        listeners = generation.listeners[pool.name]
        numbers = tuple(state.listening.numbers[pool.name, str(listener.address)] for listener in listeners)
        number, peers = state.listening.pools[pool.name], tables[pool.name]
        fds = tuple(x.sock.fileno() for x in listeners if x.group is None)  # else each worker's come with its cast
        shapes[pool.name] = PoolShape(
            number, fds, numbers, peers.fd if peers is not None else -1, own=len(listeners) - len(fds)
        )
    mold = Mold(generation.number, generation.plan, shapes, state.board, theirs, state.server)
    held = {x for listeners in generation.listeners.values() for x in listeners if x.group is None}
    discard = [*state.private(), ours, *(x for x in state.listeners().values() if x not in held)]
    discard += [table for table in state.listening.tables.values() if table not in tables.values()]
    name = generation.plan.master.name
    try:
        pid = spawn.fork_child(
            f"{name}: mold gen={generation.number}",
            discard,
            mold.run,
            dies_with_parent=True,
            keeps_terminal=generation.plan.master.debug,
        )
    except OSError as error:
        _no_mold(state, generation, error, now)
        ours.close()
        return
    finally:
        theirs.close()
    patience = max((pool.boot_timeout for pool in generation.plan.pools), default=0.0) or math.inf
    ours.budget = _budget(generation, messages.MOLD_SAYS)
    record = MoldRecord(generation.number, pid, ours, deadline=now + patience)
    generation.cast_from(record)
    state.watch_mold(record)
    state.journal.report(MoldStarted(generation.number, pid))


def _budget(generation: Generation, most: int) -> int | None:
    """How many messages a child may send. None: any number, where code is developed, at prompts."""
    return None if generation.plan.master.reload else most


def _no_mold(state: State, generation: Generation, error: OSError, now: float) -> None:
    state.journal.report(Warned(f"cannot start the mold of generation {generation.number}: {error}"))
    generation.strike_mold(lambda s: strike(s, was_ready=False, now=now, dice=random.random()))


def watch_over_mold(state: State, mold: MoldRecord, now: float) -> float:
    """Kill the current mold if it hangs in an import, and it will be replaced; return when to look again."""
    if mold.deadline <= now:
        text = f"mold gen={mold.generation} pid={mold.pid}: the handlers were not imported within boot_timeout"
        state.journal.report(Warned(text))
        children.send_signal(mold.pid, signal.SIGKILL)
        mold.condemn()
    return mold.deadline


def dismiss_mold(state: State, generation: Generation) -> None:
    """Let a mold go. It is told so, for a channel that closes without a word is the master's death."""
    if (mold := generation.mold) is not None:
        state.unwatch(mold.channel)
        mold.channel.send(messages.Leave())
        mold.channel.close()
        state.leaving.expect(mold.pid, f"mold gen={mold.generation}")
        generation.lose_mold()


def cast(state: State, action: Cast, now: float) -> bool:
    """Ask the mold for a worker; without a mold, start one, and policy asks again when it is ready."""
    generation = state.generation(action.generation)
    pool = generation.pool(action.pool) if generation is not None else None
    if generation is None or pool is None:
        return False
    if generation.mold is None:
        start_mold(state, generation, now)
        return False
    if not generation.mold.ready or generation.mold.channel.pending:
        return False
    lanes, number = pool.threads, state.listening.pools[pool.name]
    try:
        own = peer_group.of_slot(generation.listeners[pool.name], action.slot, pool)
        ours, theirs = Channel.pair()
    except OSError as error:
        not_cast(state, action, f"cannot make a socket for it: {error.strerror}", now)
        return True
    try:
        row = state.board.allocate(lanes, pool=number, slot=action.slot, generation=generation.number)
    except ScoreboardFullError as error:
        state.journal.report(Warned(str(error)))
        ours.close()
        theirs.close()
        return False
    token = state.workers.number()
    try:
        generation.mold.ask(messages.Cast(token, pool.name, action.slot, row, lanes), [theirs.fileno(), *own])
    except OSError as error:
        state.board.fold(row, lanes)
        ours.close()
        not_cast(state, action, f"its mold cannot be told: {error.strerror}", now)
        return True
    finally:
        theirs.close()
    ours.budget = _budget(generation, messages.WORKER_SAYS)
    worker = Worker(
        token,
        pool.name,
        action.slot,
        generation.number,
        born=now,
        mold=generation.mold.pid,
        deadline=now + (pool.boot_timeout or math.inf),
        row=row,
        lanes=lanes,
    )
    state.workers.seat(worker, ours)
    state.watch_worker(token)
    return True


def not_cast(state: State, asked: Cast | Worker, why: str, now: float) -> None:
    """The kernel refused what a worker needs: who is tried out has failed, others are tried again after a pause."""
    transaction = state.transaction
    candidate = transaction.candidate if transaction is not None else None
    if transaction is not None and candidate is not None and candidate.number == asked.generation:
        transaction.fail(Failure("boot", f"worker {asked.pool}[{asked.slot}] gen={asked.generation}: {why}"))
        return
    key = (asked.pool, asked.slot)
    struck = state.workers.strike(key, lambda s: strike(s, was_ready=False, now=now, dice=random.random()))
    state.journal.report(Warned(f"worker {asked.pool}[{asked.slot}] gen={asked.generation}: {why}"))
    state.journal.report(Throttled(*key, struck.count, struck.not_before - now))


def drain(state: State, worker: Worker, reason: Reason, now: float, *, patience: float | None = None) -> None:
    """Tell a worker to finish what it has and leave, within `patience` or graceful_timeout (seconds)."""
    patience = _graceful_timeout(state, worker) if patience is None else patience
    sits = worker.pid in state.watch.prompts  # somebody, at a debugger of it
    delivery.tell(state, worker.token, messages.Drain(_to_empty(state, worker), patience))
    if worker.phase is Phase.STARTING:
        patience = min(patience, EARLY_LEAVE)
        _signal(worker, signal.SIGTERM)  # it may be importing, and not listen to its channel yet
    leaving = replace(
        worker,
        phase=Phase.DRAINING,
        leaving=reason,
        deadline=math.inf if sits else now + patience,
        patience=Patience.WHOLE,
    )
    state.workers.change(leaving)
    state.journal.report(WorkerDraining(leaving, reason))


def _to_empty(state: State, worker: Worker) -> tuple[int, ...]:
    """The positions of this worker's listeners that nobody will serve after it: their queues it empties first."""
    generation = state.generation(worker.generation)
    goal = state.goal()
    if generation is None:
        return ()
    lasting = goal.plan.pools if goal is not None and state.stop is None else ()
    served = {str(address) for pool in lasting for address in pool.bind}
    return tuple(
        position
        for position, listener in enumerate(generation.listeners[worker.pool])
        if str(listener.address) not in served
        or (listener.group is not None and worker.slot >= listener.group.slots)  # its peers have moved
    )


def abort(state: State, worker: Worker, now: float) -> None:
    """Patience is over: dump stacks and die."""
    if worker.pid == 0:  # its mold never said that it exists
        _abort_mold(state, worker)
    what = {
        Phase.STARTING: "was not ready within its boot_timeout",
        Phase.READY: "is stuck",
        Phase.DRAINING: "has not finished within graceful_timeout",
    }[worker.phase]
    if worker.leaving is Reason.TIMEOUT:
        what = "is stuck"
    state.journal.report(WorkerOverdue(worker, what, "its stacks follow, then it is killed"))
    _signal(worker, signal.SIGABRT)
    state.workers.change(replace(worker, patience=Patience.ABORTED, deadline=now + LAST_WORDS))


def _abort_mold(state: State, worker: Worker) -> None:
    generation = state.generation(worker.generation)
    if generation is not None and generation.mold is not None and generation.mold.pid == worker.mold:
        children.send_signal(generation.mold.pid, signal.SIGKILL)


def kill(state: State, worker: Worker) -> None:
    _signal(worker, signal.SIGKILL)
    state.workers.change(replace(worker, patience=Patience.KILLED, deadline=math.inf))


def quit_now(state: State, worker: Worker, now: float) -> None:
    """A quick stop: leave at once."""
    _signal(worker, signal.SIGQUIT)
    aborted, patience = now + LAST_WORDS, Patience.ABORTED
    state.workers.change(
        replace(worker, phase=Phase.DRAINING, leaving=Reason.STOP, deadline=aborted, patience=patience)
    )


def catch_up(worker: Worker) -> None:
    """Send what could not be sent while nobody knew which process it is: a stop may be quicker than a mold's answer."""
    match worker:
        case Worker(patience=Patience.KILLED):
            _signal(worker, signal.SIGKILL)
        case Worker(patience=Patience.ABORTED, leaving=Reason.STOP):
            _signal(worker, signal.SIGQUIT)
        case Worker(patience=Patience.ABORTED):
            _signal(worker, signal.SIGABRT)
        case Worker(phase=Phase.DRAINING):
            _signal(worker, signal.SIGTERM)  # it may be importing, and not listen to its channel yet


def tell_all(state: State, message: messages.ToWorker, *, pool: str | None = None, slot: int | None = None) -> int:
    """Send a message to every worker (of a pool, of a slot) and say how many there were."""
    told = 0
    for token, worker in state.workers.fleet.items():
        if (pool is None or worker.pool == pool) and (slot is None or worker.slot == slot):
            delivery.tell(state, token, message)
            told += 1
    return told


def _signal(worker: Worker, number: signal.Signals) -> None:
    if worker.pid:
        children.send_signal(worker.pid, number)


def _graceful_timeout(state: State, worker: Worker) -> float:
    generation = state.goal() or state.generation(worker.generation)  # its own: the first start was given up
    return generation.plan.master.graceful_timeout if generation is not None else 0.0


def see_off(state: State, now: float) -> float:
    """Kill those who were told to go and have not in their time; return when to look again."""
    for pid in state.leaving.overdue(now):
        children.send_signal(pid, signal.SIGKILL)
    return min(state.leaving.by.values(), default=math.inf)


# -- the admin child -----------------------------------------------------------------------------------------------


def dismiss_admin(state: State) -> None:
    """Let the admin child go: it leaves when its channel closes."""
    _lose_waiters(state)
    pid, channel = state.admin.dismiss()
    if channel is not None:
        state.unwatch(channel)
        channel.close()
    if pid:
        state.leaving.expect(pid, ADMIN)


def replace_admin(state: State, now: float) -> None:
    """Let it go for one of this version, which starts when it is gone: only one may fold the handlers' metrics.

    It is asked to, so that it answers first whom it has taken, for which it needs us, and leaves to the next one who is
    in the queue. One that takes too long, or is of a version before that word, loses its channel.
    """
    if state.admin.channel is not None and state.admin.is_polite and not state.admin.is_leaving:
        state.admin.channel.send(messages.Leave())
        state.admin.asked_to_leave(now + LAST_WORDS)
        return
    if state.admin.pid:
        state.leaving.allow(state.admin.pid, now + LAST_WORDS)
    dismiss_admin(state)


def start_admin(state: State, now: float) -> None:
    """Fork the admin child, if there is anything for it to do and it may be started now."""
    record = state.admin
    generation = state.goal() or (state.transaction.candidate if state.transaction else None)
    if record.pid or now < record.strikes.not_before or generation is None or not state.wants_admin():
        return
    if ADMIN in state.leaving.names.values():
        return
    plan, gate = generation.plan.master, Gate.of(generation.plan.access, [x.address for x in record.listeners])
    if gate.token == "":  # nosec B105  # there is none
        state.journal.report(Warned("admin.token_file cannot be read: nobody gets the admin pages over TCP"))
    try:
        ours, theirs = Channel.pair()
    except OSError as error:
        _no_admin(state, error, now)
        return
    discard = [x for x in state.private() if x not in record.listeners]
    discard += [ours, *state.listeners().values(), *state.listening.tables.values()]

    is_first = record.is_first

    def main() -> int:
        identity.assume(plan)
        spawn.die_with_parent()
        return entry.run(theirs, state.board, [x.sock for x in record.listeners], gate, plan, is_first=is_first)

    try:
        pid = spawn.fork_child(f"{plan.name}: admin", discard, main, dies_with_parent=True)
    except OSError as error:
        _no_admin(state, error, now)
        ours.close()
        return
    finally:
        theirs.close()
    record.started(pid, ours, now)
    state.watch_admin()


def _no_admin(state: State, error: OSError, now: float) -> None:
    state.journal.report(Warned(f"cannot start the admin child: {error}"))
    state.admin.strike(lambda s: strike(s, was_ready=False, now=now, dice=random.random()))


def admin_gone(state: State, pid: int, status: int, now: float) -> None:
    """It has ended: by itself, or because it was asked to."""
    record = state.admin
    code = os.waitstatus_to_exitcode(status)
    was_asked = record.is_leaving and code == 0
    if (channel := record.gone()) is not None:
        state.unwatch(channel)
        channel.close()
    _lose_waiters(state)
    if not was_asked and (state.stop is None or not state.stop.draining):
        young = is_young(record.ready_at, now)
        record.strike(lambda s: strike(s if young else Strikes(), was_ready=True, now=now, dice=random.random()))
        state.journal.report(AdminGone(pid, children.how(code)))


def _lose_waiters(state: State) -> None:
    """Who waited at the old child has lost it; numbers begin anew."""
    if state.transaction is not None:
        state.transaction.lose_waiters()
