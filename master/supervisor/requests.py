"""Orders: what operators ask of the master, by signal or over the admin child, and what the master answers.

Can go wrong: an order for a pool that does not exist, or while the service stops, is answered with why not.
"""

import signal

from forkful.conf import logs
from forkful.conf.plan import MAX_SLOTS, PoolPlan
from forkful.master.model.events import Noted, NotUnderstood, Scaled
from forkful.master.supervisor import actions, reload, rollback, shutdown, snapshot
from forkful.master.supervisor.state import State
from forkful.master.supervisor.transaction import Kind
from forkful.master.system import children
from forkful.worker.ipc import messages

SCALE_TIMES, SCALE_AT_LEAST = 10, 64  # of what the settings say; workers
TERM_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
SIGNALS = (
    *sorted(TERM_SIGNALS),
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGWINCH,
    signal.SIGCHLD,
)


def signalled(state: State, number: int, now: float) -> None:
    """Do what a signal asks for. SIGCHLD is the loop's."""
    match number:
        case signal.SIGTERM:
            shutdown.begin(state, quick=state.stop is not None, why="SIGTERM", now=now)
        case signal.SIGINT | signal.SIGQUIT:
            shutdown.begin(state, quick=True, why=signal.Signals(number).name, now=now)
        case signal.SIGHUP:
            reload.request(state, Kind.RELOAD, [], now)
        case signal.SIGUSR1:
            reopen(state)
        case signal.SIGUSR2:
            reload.request(state, Kind.UPGRADE, [], now)
        case signal.SIGTTIN | signal.SIGTTOU:
            _step(state, 1 if number == signal.SIGTTIN else -1)
        case signal.SIGWINCH if state.stop is None:
            state.targets.pause()
            if state.transaction is not None:
                state.transaction.revive_nobody()
            state.journal.report(Noted("SIGWINCH: all workers retire, the sockets stay open; SIGHUP brings them back"))


def hear_admin(state: State, now: float) -> None:
    """Take what the admin child asks."""
    channel = state.admin.channel
    if channel is None:
        return
    for message in channel.receive(messages.FROM_ADMIN):
        match message:
            case messages.Question(id=question, order=order):
                _asked(state, question, order, now)
            case messages.Steering(id=question, order=order):
                _steered(state, question, order, now)
            case messages.Awake():
                state.admin.turns()
            case messages.Refused(why=why):
                _garbled(state, why)
    if channel.closed:
        state.unwatch(channel)


def _garbled(state: State, why: str) -> None:
    """It says what no admin child of ours says: reported once, killed and replaced."""
    if state.admin.misspoke():
        state.journal.report(NotUnderstood(f"admin pid={state.admin.pid}", why))
        if state.admin.pid:
            children.send_signal(state.admin.pid, signal.SIGKILL)


def _asked(state: State, question: int, order: messages.Order, now: float) -> None:
    match order:
        case messages.TellFacts():
            if state.admin.channel is not None:
                state.admin.channel.send(messages.Facts(question, {**snapshot.facts(state, now)}))
        case messages.Reload():
            reload.request(state, Kind.RELOAD, [question], now)
        case messages.Upgrade():
            reload.request(state, Kind.UPGRADE, [question], now)
        case messages.Scale(pool=pool, workers=workers):
            ok, text = _scale(state, pool, workers)
            state.answer(question, ok=ok, message=text)
        case messages.Stop(quick=quick):
            shutdown.begin(state, quick=quick, why="the stop command", now=now)
            state.answer(question, ok=True, message="stopping")
        case messages.ReopenLogs():
            reopen(state)
            state.answer(question, ok=True, message="log files are reopened")
        case messages.ShowStacks(pool=name, slot=slot):
            told = actions.tell_all(state, messages.Stacks(), pool=name, slot=slot)
            text = f"{told} workers write their stacks to the log" if told else "there is no such worker"
            state.answer(question, ok=told > 0, message=text)


def _steered(state: State, question: int, order: messages.Steer, now: float) -> None:
    match order:
        case messages.Promote():
            ok, text = rollback.promote(state, now)
            state.answer(question, ok=ok, message=text)
        case messages.Abort():
            ok, text = rollback.abort(state, now)
            state.answer(question, ok=ok, message=text)
        case messages.Rollback():
            rollback.request(state, [question], now)


def reopen(state: State) -> None:
    """Open the log files anew, here and in every child."""
    logs.reopen()
    actions.tell_all(state, messages.Reopen())
    for mold in state.molds():
        mold.channel.send(messages.Reopen())
    if state.admin.channel is not None:
        state.admin.channel.send(messages.Reopen())
    state.journal.report(Noted("log files are reopened"))


def _step(state: State, by: int) -> None:
    """One worker more or less in every pool, never below one."""
    generation = state.current or state.candidate
    if state.stop is not None or generation is None:
        return
    for pool in generation.plan.pools:
        wanted = min(max(1, state.target(pool) + by), _most(pool))
        _retarget(state, pool.name, wanted, "SIGTTIN" if by > 0 else "SIGTTOU")


def _scale(state: State, name: str, workers: int) -> tuple[bool, str]:
    pool = state.current.pool(name) if state.current is not None else None
    if state.stop is not None:
        return False, "the service is stopping"
    if pool is None:
        names = ", ".join(pool.name for pool in state.current.plan.pools) if state.current else "none yet"
        return False, f"there is no pool {name!r}; there are: {names}"
    if workers < 0:
        return False, "a pool has at least 0 workers"
    if workers > (most := _most(pool)):
        return False, f"{workers} workers are too many for pool {name}: more than {most} only the settings may say"
    _retarget(state, name, workers, "the scale command")
    return True, f"pool {name}: target is {workers} workers now"


def _most(pool: PoolPlan) -> int:
    """How far a command may go: by mistake, or by somebody else's, a machine is soon full."""
    most = max(SCALE_AT_LEAST, SCALE_TIMES * pool.workers, pool.workers_max)
    return min(most, MAX_SLOTS) if pool.affinity == "peer" else most


def _retarget(state: State, name: str, workers: int, why: str) -> None:
    generation = state.current or state.candidate
    pool = generation.pool(name) if generation is not None else None
    if pool is not None:
        state.targets.order(pool, workers)
        state.journal.report(Scaled(name, workers, why))
