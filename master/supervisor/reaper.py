"""The reaper: what the master hears from its children, and of their end.

A worker's pid is learnt from the mold's answer or from the worker's own hello, whichever comes first, if the kernel has
it as a child of ours that is nobody else; an exit that is reaped before either is kept until one does. Exits of
strangers (orphans we inherit as a subreaper or as PID 1) are reaped and forgotten.
Can go wrong: nothing that a child says or does; it is gossip, checked and survived.
"""

import math
import os
import random
import signal
from dataclasses import replace
from functools import partial

from forkful.master.model.events import (
    MoldGone,
    NotUnderstood,
    Throttled,
    Warned,
    WorkerDied,
    WorkerGone,
    WorkerReady,
    WorkerRetiring,
    WorkerStarted,
)
from forkful.master.model.fleet import Failure, Patience, Phase, Reason, Worker
from forkful.master.model.user_events import HookFailed
from forkful.master.model.wording import in_words
from forkful.master.policy.throttle import is_young, strike
from forkful.master.supervisor import (
    actions,
    bake,
    commands,
    helpers,
    reload,
    sampling,
    spare,
    succession,
    waiting,
    watching,
)
from forkful.master.supervisor.generations import MoldRecord
from forkful.master.supervisor.state import State
from forkful.master.system import children
from forkful.worker.ipc import messages, reload_messages

_ASKED = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP}  # somebody's wish, not a fault


_UNBOOTED = {Reason.BOOT_FAILED, Reason.OOM}  # of one that was never ready


# -- what children say ---------------------------------------------------------------------------------------------


def hear_worker(state: State, token: int, now: float) -> None:
    """Take what a worker said."""
    channel = state.workers.channels[token]
    for message in channel.receive(messages.FROM_WORKER):
        _worker_said(state, token, message, now)
    channel.drop_fds()
    _ended_early(state, token, now)
    if channel.closed and token in state.workers.fleet:
        state.unwatch(channel)
        worker = state.workers.fleet[token]
        generation = state.generation(worker.generation)
        mold = generation.mold if generation is not None else None
        if worker.pid == 0 and (mold is None or mold.pid != worker.mold):
            _never_was(state, token)


def _worker_said(  # noqa: C901  # a list of all that can be said
    state: State, token: int, message: messages.FromWorker | messages.Refused, now: float
) -> None:
    worker = _with_pid(state, token, message)
    match message:
        case messages.Hello(pid=pid):
            if not _learn_pid(state, token, pid):  # it is its mold's still, or a lie: we ask again
                state.workers.change(replace(worker, claimed=worker.claimed or pid))
        case messages.Ready() if worker.phase is Phase.STARTING and not worker.garbled:
            ready = replace(worker, phase=Phase.READY, ready_at=now, deadline=math.inf)
            state.workers.change(ready)
            state.workers.booted(worker.pool)
            state.oom_kills.forget()
            if ready.pid:  # otherwise it is told once we know it
                state.journal.report(WorkerReady(ready, now - worker.born))
            waiting.tell(state, token)
            sampling.anew(state)
        case messages.Retiring(reason=word) if worker.phase is Phase.READY and worker.retiring is None:
            _retires(state, worker, word)
        case messages.Draining():
            _drains(state, worker, now)
        case messages.Heir() | messages.Bequest() | messages.Passed():
            succession.heard(state, worker, message)
        case reload_messages.Imported() | reload_messages.AtPrompt():
            watching.heard(state, worker, message, now)
        case messages.Failed(kind=kind, message=text, traceback=trace):
            failure = Failure(kind, messages.cut(text), messages.cut(trace))  # it may not have done that itself
            state.workers.change(replace(worker, failure=failure))
        case messages.HookFailed(hook=hook):
            state.journal.report(HookFailed(str(worker), worker.pool, hook))
        case messages.Refused(why=why):
            _garbled(state, worker, why)


def _with_pid(state: State, token: int, message: messages.FromWorker | messages.Refused) -> Worker:
    """One who speaks, with the process id that it gave itself before the kernel had it as a child of ours."""
    worker = state.workers.fleet[token]
    if worker.claimed and not worker.pid and not isinstance(message, messages.Hello):
        _learn_pid(state, token, worker.claimed)
    return state.workers.fleet[token]


def _drains(state: State, worker: Worker, now: float) -> None:
    if worker.phase is not Phase.DRAINING:  # somebody else's signal
        actions.drain(state, worker, Reason.SIGNAL, now)
    state.workers.change(replace(state.workers.fleet[worker.token], quiet=True))


def _retires(state: State, worker: Worker, word: str) -> None:
    reason = Reason(word) if word in {known.value for known in Reason} else Reason.SHUTDOWN
    if reason is Reason.SIGNAL and state.stop is not None:
        return  # who told us to stop has told everybody, so it is no wish of this one's
    state.workers.change(replace(worker, retiring=reason))
    state.journal.report(WorkerRetiring(worker, reason))


def _garbled(state: State, worker: Worker, why: str) -> None:
    """It says what no worker of ours says, so it is none any more: reported once, killed and replaced."""
    if not worker.garbled:
        event = NotUnderstood(str(worker), why)
        failure = Failure("boot", in_words(event))
        known = state.workers.change(replace(worker, garbled=True, failure=failure))
        state.journal.report(event)
        if worker.pid:  # otherwise once we know it
            actions.kill(state, known)


def hear_mold(state: State, mold: MoldRecord, now: float) -> None:
    """Take what a mold said."""
    for message in mold.channel.receive(messages.FROM_MOLD):
        _mold_said(state, mold, message, now)
    if mold.channel.closed:
        state.unwatch(mold.channel)


def _mold_said(  # noqa: C901  # as above
    state: State, mold: MoldRecord, message: messages.FromMold | messages.Refused, now: float
) -> None:
    match message:
        case messages.CastDone(token=token, pid=pid) if _is_of(state, token, mold):
            if not _learn_pid(state, token, pid):
                _garbled_mold(state, mold, f"process {pid} is no new child of this master")
            _ended_early(state, token, now)
        case messages.CastFailed(token=token, message=text) if _is_of(state, token, mold):
            if not state.workers.fleet[token].pid:
                actions.not_cast(state, _never_was(state, token), text, now)
        case messages.MoldReady(failures=failures, threads=threads):
            mold.imported()
            if threads:
                names = ", ".join(threads)
                text = "importing the handlers started threads, which do not survive the fork into workers"
                state.journal.report(Warned(f"mold gen={mold.generation}: {text}: {names}"))
            reload.mold_is_ready(state, mold, failures, now)
        case messages.LoadHookFailed(pool=pool, hook=hook) if pool in state.listening.pools:
            state.journal.report(HookFailed(f"mold gen={mold.generation}", pool, hook))
        case reload_messages.Imported() | reload_messages.AtPrompt():
            watching.heard(state, mold, message, now)
        case messages.Unsecured(message=text):
            reload.mold_is_unsecured(state, mold, text, now)
        case messages.Refused(why=why):
            _garbled_mold(state, mold, why)


def _is_of(state: State, token: int, mold: MoldRecord) -> bool:
    """Whether this mold was asked for this worker: it has nothing to say of others."""
    return token in state.workers.fleet and state.workers.fleet[token].mold == mold.pid


def _garbled_mold(state: State, mold: MoldRecord, why: str) -> None:
    if mold.misspoke():
        state.journal.report(NotUnderstood(f"mold gen={mold.generation} pid={mold.pid}", why))
        children.send_signal(mold.pid, signal.SIGKILL)


# -- their end -----------------------------------------------------------------------------------------------------


def reap(state: State, now: float) -> None:
    """Collect every child that ended."""
    if state.server is None:
        while (ended := _wait(-1)) is not None:
            _ended(state, *ended, now)
        return
    for pid in _ours(state):  # drop-in mode: the script may have children of its own, which it waits for itself
        if (ended := _wait(pid)) is not None:
            _ended(state, *ended, now)


def _wait(pid: int) -> tuple[int, int, float] | None:
    try:
        found, status, usage = os.wait4(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return (found, status, usage.ru_utime + usage.ru_stime) if found else None


def _ours(state: State) -> list[int]:
    helper = state.transaction.helper if state.transaction is not None else None
    pids = [worker.pid for worker in state.workers.fleet.values() if worker.pid]
    pids += [mold.pid for mold in state.molds()]
    pids += [pid for pid in (state.admin.pid, state.watch.pid) if pid]
    return pids + [*state.leaving.names, *state.commands.running] + ([helper.pid] if helper is not None else [])


def _ended(state: State, pid: int, status: int, cpu: float, now: float) -> None:
    worker = next((w for w in state.workers.fleet.values() if w.pid == pid), None)
    helper = state.transaction.helper if state.transaction is not None else None
    if worker is not None:
        _worker_gone(state, worker, status, cpu, now)
    elif pid in state.leaving.names:
        state.leaving.reaped(pid)
        _tell_admin(state, pid)
    elif pid == state.watch.pid:
        watching.has_ended(state, pid, children.how(os.waitstatus_to_exitcode(status)), now)
    elif pid in state.commands.running:
        commands.ended(state, pid, os.waitstatus_to_exitcode(status), now)
    elif pid == state.admin.pid:
        actions.admin_gone(state, pid, status, now)
    elif helper is not None and helper.pid == pid:
        helper.ended(os.waitstatus_to_exitcode(status))
        helpers.progress(state, helper, now)
    elif not _mold_gone(state, pid, status, now) and not state.workers.all_are_known():
        state.workers.reaped_stranger(pid, status, cpu)


def _learn_pid(state: State, token: int, pid: int) -> bool:
    """Take a worker's process id, if the kernel has such a child and it is nobody else; return whether it is known."""
    worker = state.workers.fleet[token]
    if worker.pid:
        return worker.pid == pid
    if pid not in state.workers.strangers and (pid in _ours(state) or not children.is_ours(pid)):
        return False
    known = state.workers.change(replace(worker, pid=pid))
    state.journal.report(WorkerStarted(known))
    if math.isfinite(known.ready_at):  # it was quicker than its mold's word
        state.journal.report(WorkerReady(known, known.ready_at - known.born))
    if known.garbled:
        actions.kill(state, known)
    else:
        actions.catch_up(known)
    return True


def _ended_early(state: State, token: int, now: float) -> None:
    """Its end, if that was reaped before its pid was known. Only once all that it said was heard: it may say why."""
    worker = state.workers.fleet[token]
    if state.server is not None and worker.pid and (ended := _wait(worker.pid)) is not None:
        state.workers.reaped_stranger(*ended)  # SIGCHLD came when we did not know whose it was
    if (end := state.workers.end_of(worker.pid)) is not None:
        _worker_gone(state, worker, *end, now)
    state.workers.forget_strangers()


def _never_was(state: State, token: int) -> Worker:
    """Forget a worker that was asked for and does not exist."""
    worker, channel = state.workers.unseat(token)
    state.unwatch(channel)
    channel.close()
    state.board.fold(worker.row, worker.lanes)
    return worker


def _worker_gone(state: State, worker: Worker, status: int, cpu: float, now: float) -> None:
    for message in state.workers.channels[worker.token].receive(messages.FROM_WORKER):  # its last words
        if not isinstance(message, messages.Refused):  # which would be answered by a signal, and it is gone
            _worker_said(state, worker.token, message, now)
    worker, channel = state.workers.unseat(worker.token)
    state.unwatch(channel)
    channel.close()
    succession.ended(state, worker)
    bake.ends(state, worker, now)
    lost = _fold(state, worker)
    state.workers.spent(worker.pool, cpu)
    state.terminal.restore()
    state.watch.prompting(worker.pid, now=False)
    _tell_admin(state, worker.pid)

    code = os.waitstatus_to_exitcode(status)
    reason = _reason(state, worker, code)
    how = children.how(code)
    expected = worker.leaving is not None and (code == 0 or math.isinf(worker.ready_at))
    if expected or state.stop is not None:
        state.journal.report(WorkerGone(worker, reason, how))
        return
    detail = f"; {lost} requests were in flight" if lost else ""
    late = " within its boot_timeout" if worker.patience is not Patience.WHOLE else ""
    failure = worker.failure or Failure("boot", f"{worker} was not ready{late}: {how}")
    if reason is Reason.BOOT_FAILED and worker.failure is not None:
        detail += f": {failure.message}" + (f"\n{failure.traceback.rstrip()}" if failure.traceback else "")
    if _is_tried(state, worker) and reason in _UNBOOTED and math.isinf(worker.ready_at):
        if state.current is None:
            state.journal.report(WorkerDied(worker, reason, how))
        else:  # what serves has lost nobody: the reload's failure tells of it
            why = reason if reason is Reason.OOM else Reason.RELOAD  # the kernel's doing, whatever we were trying
            state.journal.report(WorkerGone(worker, why, f"{how}; it was being tried, and was never ready"))
        _fail_reload(state, worker, failure, now)
        return
    state.journal.report(WorkerDied(worker, reason, how, detail))
    bake.died(state, worker, lost, now)
    if reason in _UNBOOTED and math.isinf(worker.ready_at):
        state.workers.could_not_boot(worker.pool, failure)
    if worker.phase is not Phase.DRAINING and is_young(worker.ready_at, now):
        _strike(state, worker, now, in_flight=lost > 0)
    elif not is_young(worker.ready_at, now):
        state.workers.forgive((worker.pool, worker.slot))


def _fold(state: State, worker: Worker) -> int:
    """Add what it counted to its pool's totals; return how many requests it took along."""
    before = state.board.implausible
    lost = state.board.fold(worker.row, worker.lanes)
    if state.board.implausible > before:
        state.journal.report(Warned(f"{worker}: its figures on the scoreboard are impossible, and are left out"))
    return lost


def _tell_admin(state: State, pid: int) -> None:
    """The metric files of this process can be folded."""
    if state.admin.channel is not None:
        state.admin.channel.send(messages.Gone(pid))


def _is_tried(state: State, worker: Worker) -> bool:
    """Whether it is of a generation that is tried out, or that was a moment ago and has failed in another pool."""
    if state.current is not None and worker.generation > state.current.number:
        return True
    return state.candidate is not None and state.candidate.number == worker.generation


def _fail_reload(state: State, worker: Worker, failure: Failure, now: float) -> None:
    if state.candidate is not None and state.candidate.number == worker.generation:
        reload.fail(state, failure, now)


def _strike(state: State, worker: Worker, now: float, *, in_flight: bool) -> None:
    counted = partial(strike, was_ready=math.isfinite(worker.ready_at), now=now, dice=random.random())
    after = state.workers.strike((worker.pool, worker.slot), partial(counted, in_flight=in_flight))
    if after.not_before > now:
        unless = ", or at once while nobody serves" if after.served else ""
        state.journal.report(Throttled(worker.pool, worker.slot, after.count, after.not_before - now, unless))


def _reason(state: State, worker: Worker, code: int) -> Reason:
    """Why a worker left."""
    if worker.garbled and math.isfinite(worker.ready_at):
        return Reason.CRASH
    killed_by_oom = code == -signal.SIGKILL and worker.patience is not Patience.KILLED and state.oom_kills.happened()
    if killed_by_oom:
        return Reason.OOM
    if state.stop is not None and state.stop.quick:
        return Reason.STOP
    if worker.leaving is not None and code == 0:
        return worker.leaving
    if worker.patience is not Patience.WHOLE and math.isfinite(worker.ready_at):
        return Reason.TIMEOUT
    if not math.isfinite(worker.ready_at) and worker.leaving is None:
        return Reason.BOOT_FAILED
    if worker.leaving is not None and worker.phase is Phase.DRAINING and not math.isfinite(worker.ready_at):
        return worker.leaving
    if code == 0:
        return worker.retiring or Reason.SIGNAL
    return Reason.SIGNAL if -code in _ASKED else Reason.CRASH


def _mold_gone(state: State, pid: int, status: int, now: float) -> bool:
    for generation in state.all_generations():
        mold = generation.mold
        if mold is None or mold.pid != pid:
            continue
        hear_mold(state, mold, now)
        state.watch.prompting(pid, now=False)
        _tell_admin(state, pid)
        state.unwatch(mold.channel)
        mold.channel.close()
        generation.lose_mold()
        how = children.how(os.waitstatus_to_exitcode(status))
        for token, worker in [*state.workers.fleet.items()]:
            if worker.pid == 0 and worker.generation == generation.number and state.workers.channels[token].closed:
                _never_was(state, token)
        if state.stop is None:
            generation.strike_mold(partial(strike, was_ready=mold.ready, now=now, dice=random.random()))
            if not reload.mold_is_gone(state, generation, how, now) and not spare.has_no_mold(state, generation):
                state.journal.report(MoldGone(generation.number, pid, how))
        return True
    return False
