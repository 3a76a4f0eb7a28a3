"""The reaper: what the master hears from its children, and of their end.

A worker's pid is learnt from the mold's answer or from the worker's own hello, whichever comes first; an exit that is
reaped before either is kept until one does. Exits of strangers (orphans we inherit as a subreaper or as PID 1) are
reaped and forgotten.
Can go wrong: nothing that a child says or does; it is gossip, checked and survived.
"""

import contextlib
import math
import os
import random
import signal
from dataclasses import replace

from forkful.master.model.events import (
    AdminGone,
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
from forkful.master.policy.throttle import Strikes, is_young, strike
from forkful.master.supervisor import actions, helpers, reload, sampling
from forkful.master.supervisor.state import House, MoldRecord, Stage
from forkful.worker.ipc import messages

_ASKED = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP}  # somebody's wish, not a fault


_UNBOOTED = {Reason.BOOT_FAILED, Reason.OOM}  # of one that was never ready


# -- what children say ---------------------------------------------------------------------------------------------


def hear_worker(house: House, token: int, now: float) -> None:
    """Take what a worker said."""
    channel = house.channels[token]
    for message in channel.receive(messages.FROM_WORKER):
        _worker_said(house, token, message, now)
    _ended_early(house, token, now)
    if channel.closed and token in house.fleet:
        house.unwatch(channel)
        worker = house.fleet[token]
        generation = house.generation(worker.generation)
        mold = generation.mold if generation is not None else None
        if worker.pid == 0 and (mold is None or mold.pid != worker.mold):
            _never_was(house, token)


def _worker_said(house: House, token: int, message: messages.FromWorker | messages.Refused, now: float) -> None:
    worker = house.fleet[token]
    match message:
        case messages.Hello(pid=pid):
            _learn_pid(house, token, pid)
        case messages.Ready() if worker.phase is Phase.STARTING:
            ready = replace(worker, phase=Phase.READY, ready_at=now, deadline=math.inf)
            house.fleet[token] = ready
            house.trouble.pop(worker.pool, None)
            house.oom_kills.forget()
            house.journal.report(WorkerReady(ready, now - worker.born))
            sampling.anew(house)
        case messages.Retiring(reason=word) if worker.phase is Phase.READY:
            reason = Reason(word) if word in {known.value for known in Reason} else Reason.SHUTDOWN
            house.fleet[token] = replace(worker, retiring=reason)
            house.journal.report(WorkerRetiring(worker, reason))
        case messages.Draining() if worker.phase is Phase.DRAINING:
            house.fleet[token] = replace(worker, quiet=True)
        case messages.Draining():  # somebody else's signal
            actions.drain(house, worker, Reason.SIGNAL, now)
            house.fleet[token] = replace(house.fleet[token], quiet=True)
        case messages.Failed(kind=kind, message=text, traceback=trace):
            house.fleet[token] = replace(worker, failure=Failure(kind, text, trace))
        case messages.Refused(why=why):
            _garbled(house, worker, why)


def _garbled(house: House, worker: Worker, why: str) -> None:
    """It says what no worker of ours says, so it is none any more: reported once, killed and replaced."""
    if not worker.garbled:
        event = NotUnderstood(str(worker), why)
        house.fleet[worker.token] = replace(worker, garbled=True, failure=Failure("boot", event.TEXT.format(e=event)))
        house.journal.report(event)
        if worker.pid:  # otherwise once we know it
            actions.kill(house, house.fleet[worker.token])


def hear_mold(house: House, mold: MoldRecord, now: float) -> None:
    """Take what a mold said."""
    for message in mold.channel.receive(messages.FROM_MOLD):
        match message:
            case messages.CastDone(token=token, pid=pid) if token in house.fleet:
                _learn_pid(house, token, pid)
                _ended_early(house, token, now)
            case messages.CastFailed(token=token, message=text) if token in house.fleet:
                actions.not_cast(house, _never_was(house, token), text, now)
            case messages.MoldReady(failures=failures, threads=threads):
                mold.ready, mold.deadline = True, math.inf
                if threads:
                    names = ", ".join(threads)
                    text = "importing the handlers started threads, which do not survive the fork into workers"
                    house.journal.report(Warned(f"mold gen={mold.generation}: {text}: {names}"))
                reload.mold_is_ready(house, mold, failures, now)
            case messages.Refused(why=why) if not mold.garbled:
                mold.garbled = True
                house.journal.report(NotUnderstood(f"mold gen={mold.generation} pid={mold.pid}", why))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(mold.pid, signal.SIGKILL)
    if mold.channel.closed:
        house.unwatch(mold.channel)


# -- their end -----------------------------------------------------------------------------------------------------


def reap(house: House, now: float) -> None:
    """Collect every child that ended."""
    if house.server is None:
        while (ended := _wait(-1)) is not None:
            _ended(house, *ended, now)
        return
    for pid in _ours(house):  # drop-in mode: the script may have children of its own, which it waits for itself
        if (ended := _wait(pid)) is not None:
            _ended(house, *ended, now)


def _wait(pid: int) -> tuple[int, int, float] | None:
    try:
        found, status, usage = os.wait4(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return (found, status, usage.ru_utime + usage.ru_stime) if found else None


def _ours(house: House) -> list[int]:
    helper = house.transaction.helper if house.transaction is not None else None
    pids = [worker.pid for worker in house.fleet.values() if worker.pid]
    pids += [mold.pid for mold in house.molds()]
    pids += [house.admin.pid] if house.admin.pid else []
    return pids + [*house.leaving] + ([helper.pid] if helper is not None else [])


def _ended(house: House, pid: int, status: int, cpu: float, now: float) -> None:
    worker = next((w for w in house.fleet.values() if w.pid == pid), None)
    helper = house.transaction.helper if house.transaction is not None else None
    if worker is not None:
        _worker_gone(house, worker, status, cpu, now)
    elif pid in house.leaving:
        del house.leaving[pid]
        _tell_admin(house, pid)
    elif pid == house.admin.pid:
        _admin_gone(house, pid, status, now)
    elif helper is not None and helper.pid == pid:
        helper.code = os.waitstatus_to_exitcode(status)
        helpers.progress(house, helper, now)
    elif not _mold_gone(house, pid, status, now) and any(w.pid == 0 for w in house.fleet.values()):
        house.strangers[pid] = (status, cpu)


def _learn_pid(house: House, token: int, pid: int) -> None:
    worker = house.fleet[token]
    if worker.pid:
        return
    known = house.fleet[token] = replace(worker, pid=pid)
    house.journal.report(WorkerStarted(known))
    if known.garbled:
        actions.kill(house, known)


def _ended_early(house: House, token: int, now: float) -> None:
    """Its end, if that was reaped before its pid was known. Only once all that it said was heard: it may say why."""
    worker = house.fleet[token]
    if house.server is not None and worker.pid and (ended := _wait(worker.pid)) is not None:
        house.strangers[worker.pid] = ended[1:]  # SIGCHLD came when we did not know whose it was
    if worker.pid in house.strangers:
        _worker_gone(house, worker, *house.strangers.pop(worker.pid), now)
    if all(w.pid for w in house.fleet.values()):
        house.strangers.clear()


def _never_was(house: House, token: int) -> Worker:
    """Forget a worker that was asked for and does not exist."""
    worker = house.fleet.pop(token)
    channel = house.channels.pop(token)
    house.unwatch(channel)
    channel.close()
    house.board.fold(worker.row, worker.lanes)
    return worker


def _worker_gone(house: House, worker: Worker, status: int, cpu: float, now: float) -> None:
    for message in house.channels[worker.token].receive(messages.FROM_WORKER):  # its last words
        if not isinstance(message, messages.Refused):  # which would be answered by a signal, and it is gone
            _worker_said(house, worker.token, message, now)
    worker = house.fleet.pop(worker.token)
    channel = house.channels.pop(worker.token)
    house.unwatch(channel)
    channel.close()
    lost = house.board.fold(worker.row, worker.lanes)
    house.departed_cpu[worker.pool] = house.departed_cpu.get(worker.pool, 0.0) + cpu
    _tell_admin(house, worker.pid)

    code = os.waitstatus_to_exitcode(status)
    reason = _reason(house, worker, code)
    how = _how(code)
    expected = worker.leaving is not None and (code == 0 or math.isinf(worker.ready_at))
    if expected or house.stop is not None:
        house.journal.report(WorkerGone(worker, reason, how))
        return
    detail = f"; {lost} requests were in flight" if lost else ""
    late = " within its boot_timeout" if worker.patience is not Patience.WHOLE else ""
    failure = worker.failure or Failure("boot", f"{worker} was not ready{late}: {how}")
    if reason is Reason.BOOT_FAILED and worker.failure is not None:
        detail += f": {failure.message}" + (f"\n{failure.traceback.rstrip()}" if failure.traceback else "")
    if _belongs_to_candidate(house, worker) and reason in _UNBOOTED and math.isinf(worker.ready_at):
        house.journal.report(WorkerDied(worker, reason, how))
        reload.fail(house, failure, now)
        return
    house.journal.report(WorkerDied(worker, reason, how, detail))
    if reason in _UNBOOTED and math.isinf(worker.ready_at):
        house.trouble[worker.pool] = failure
    if worker.phase is not Phase.DRAINING and is_young(worker.ready_at, now):
        _strike(house, worker, now)
    elif (worker.pool, worker.slot) in house.strikes and not is_young(worker.ready_at, now):
        del house.strikes[worker.pool, worker.slot]


def _tell_admin(house: House, pid: int) -> None:
    """The metric files of this process can be folded."""
    if house.admin.channel is not None:
        house.admin.channel.send(messages.Gone(pid))


def _belongs_to_candidate(house: House, worker: Worker) -> bool:
    transaction = house.transaction
    if transaction is None or transaction.stage is not Stage.ROLLING or transaction.candidate is None:
        return False
    return worker.generation == transaction.candidate.number


def _strike(house: House, worker: Worker, now: float) -> None:
    key = (worker.pool, worker.slot)
    before = house.strikes.get(key, Strikes())
    after = strike(before, was_ready=math.isfinite(worker.ready_at), now=now, dice=random.random())
    house.strikes[key] = after
    if after.not_before > now:
        house.journal.report(Throttled(worker.pool, worker.slot, after.count, after.not_before - now))


def _reason(house: House, worker: Worker, code: int) -> Reason:
    """Why a worker left."""
    if worker.garbled and math.isfinite(worker.ready_at):
        return Reason.CRASH
    killed_by_oom = code == -signal.SIGKILL and worker.patience is not Patience.KILLED and house.oom_kills.happened()
    if killed_by_oom:
        return Reason.OOM
    if house.stop is not None and house.stop.quick:
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


def _how(code: int) -> str:
    """Say in words how a process ended."""
    if code >= 0:
        return f"exit code {code}"
    name = f"signal {-code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
    return f"killed by {name} ({signal.strsignal(-code)})"


def _mold_gone(house: House, pid: int, status: int, now: float) -> bool:
    for generation in house.all_generations():
        mold = generation.mold
        if mold is None or mold.pid != pid:
            continue
        hear_mold(house, mold, now)
        _tell_admin(house, pid)
        house.unwatch(mold.channel)
        mold.channel.close()
        generation.mold = None
        how = _how(os.waitstatus_to_exitcode(status))
        for token, worker in [*house.fleet.items()]:
            if worker.pid == 0 and worker.generation == generation.number and house.channels[token].closed:
                _never_was(house, token)
        if house.stop is None:
            generation.mold_strikes = strike(
                generation.mold_strikes, was_ready=mold.ready, now=now, dice=random.random()
            )
            if not reload.mold_is_gone(house, generation, how, now):
                house.journal.report(MoldGone(generation.number, pid, how))
        return True
    return False


def _admin_gone(house: House, pid: int, status: int, now: float) -> None:
    record = house.admin
    record.pid = 0
    if record.channel is not None:
        house.unwatch(record.channel)
        record.channel.close()
        record.channel = None
    if house.transaction is not None:  # who waited at the old child has lost it; numbers begin anew
        house.transaction.waiters.clear()
    if house.stop is None or not house.stop.draining:
        record.strikes = strike(
            record.strikes if is_young(record.ready_at, now) else Strikes(),
            was_ready=True,
            now=now,
            dice=random.random(),
        )
        house.journal.report(AdminGone(pid, _how(os.waitstatus_to_exitcode(status))))
