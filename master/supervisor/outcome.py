"""The outcome: how a reload, an upgrade or a roll-back ended, told to everybody: log, status, manager, waiters."""

import math
import time

from forkful.conf import logs, pins
from forkful.master.model.events import (
    ReloadFailed,
    ReloadRolledBack,
    ReloadSucceeded,
    RollbackFailed,
    RollbackSucceeded,
    UpgradeFailed,
    UpgradeRolledBack,
    UpgradeSucceeded,
    Warned,
)
from forkful.master.model.fleet import Failure
from forkful.master.supervisor import bake, waiting
from forkful.master.supervisor.generations import Generation
from forkful.master.supervisor.state import State
from forkful.master.supervisor.transaction import Kind, Transaction

_DELIVERY = 1.0  # seconds for the old admin child to deliver the answer
_DONE = {Kind.RELOAD: ReloadSucceeded, Kind.UPGRADE: UpgradeSucceeded}
_FAILED = {Kind.RELOAD: ReloadFailed, Kind.UPGRADE: UpgradeFailed, Kind.ROLLBACK: RollbackFailed}
_ROLLED_BACK = {Kind.RELOAD: ReloadRolledBack, Kind.UPGRADE: UpgradeRolledBack}
#: Failures that gave up workers which served already, by kind, as `forkful_rollbacks_total` has them.
_GIVEN_UP = frozenset({"canary", "abort", "overtaken", "crash_loop"})
ON_DISK = "code and settings on disk are still those of generation {number}, and the next reload reads them"


def succeeded(state: State, transaction: Transaction, old: Generation, new: Generation, now: float) -> None:
    """The new generation serves."""
    try:
        logs.configure(new.plan.master.log, "master")
    except OSError as error:
        state.journal.report(Warned(f"the master goes on writing to its old log: {error}"))
    if transaction.kind is Kind.ROLLBACK:
        message = _had_back(state, transaction, old, new)
    else:
        note = "; ".join(filter(None, (pins.told(old.plan, new.plan), bake.outcome(transaction))))
        state.last_reload.succeeded(time.time(), note)
        state.journal.report(_DONE[transaction.kind](new.number, f"; {note}" if note else ""))
        message = f"generation {new.number} serves" + (f"; {note}" if note else "")
    state.manager.notifier.send(READY=1)
    answer(state, transaction.waiters, ok=True, message=message)
    relogs = old.plan.master.log != new.plan.master.log
    regates = old.plan.access != new.plan.access or new.plan.access.token_file
    repushes = old.plan.master.pushed != new.plan.master.pushed
    if transaction.kind is Kind.UPGRADE or relogs or regates or repushes or math.isfinite(state.admin.replace_at):
        state.admin.replace_from(now + _DELIVERY)


def _had_back(state: State, transaction: Transaction, old: Generation, new: Generation) -> str:
    """What was rolled back is no success of the last reload, whose settings are on disk still."""
    text = f"generation {old.number} was rolled back: {transaction.reason}"
    state.last_reload.failed(time.time(), Failure("rollback", text))
    note = ON_DISK.format(number=old.number)
    state.journal.report(RollbackSucceeded(new.number, old.number, transaction.why, transaction.reason, note))
    return f"generation {new.number} serves again; {note}"


def failed(state: State, transaction: Transaction, failure: Failure, now: float) -> None:
    """It is undone, and the old generation serves on."""
    message = failure.message
    why = "canary" if transaction.bake is not None and state.stop is None else ""
    why = failure.kind if failure.kind in _GIVEN_UP else why
    if why and transaction.kind is not Kind.ROLLBACK:
        number = transaction.candidate.number if transaction.candidate is not None else 0
        message = f"generation {number} is rolled back: {message}; {ON_DISK.format(number=number)}"
        state.journal.report(_ROLLED_BACK[transaction.kind](message, failure.traceback, why=why))
    else:
        state.journal.report(_FAILED[transaction.kind](message, failure.traceback, state.meanwhile()))
    told = Failure(failure.kind, message, failure.traceback)
    state.last_reload.failed(time.time(), told)
    waiting.show(state, told)
    state.manager.notifier.send(READY=1)
    answer(state, transaction.waiters, ok=False, message=message, traceback=failure.traceback)
    if math.isfinite(state.admin.replace_at):
        state.admin.replace_from(now + _DELIVERY)


def answer(state: State, waiters: list[int], *, ok: bool, message: str, traceback: str = "") -> None:
    """Answer all who wait."""
    for question in waiters:
        state.answer(question, ok=ok, message=message, traceback=traceback)
