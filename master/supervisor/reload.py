"""A reload is a transaction: read, mold, roll; at the first thing that fails the new generation is removed.

The first start is the same transaction with nothing to fall back to: its failure is an exit code.
Can go wrong: the settings, an address, the handlers' import, a worker that does not become ready; each becomes a
`Failure`, told to the log, to who waits, to status and to the metrics, and the old generation never notices.
"""

import json
import math
import os
import signal
import time
from collections.abc import Callable, Mapping

from forkful.conf import descriptors, logs, pins
from forkful.conf.plan import Plan
from forkful.master.model.events import (
    Listening,
    ReloadStarted,
    RollbackStarted,
    Serving,
    StartFailed,
    Warned,
)
from forkful.master.model.fleet import Failure
from forkful.master.policy.machine import look_up
from forkful.master.policy.transaction import PATIENCE, SERVING, TABLE, Do, Event, Stage
from forkful.master.supervisor import (
    actions,
    bake,
    binding,
    helpers,
    outcome,
    progress,
    sampling,
    spare,
    upgrade,
    waiting,
)
from forkful.master.supervisor.generations import Generation, MoldRecord
from forkful.master.supervisor.state import State
from forkful.master.supervisor.stopping import Stop
from forkful.master.supervisor.transaction import Helper, Kind, Transaction
from forkful.master.system import children, listeners, metrics_dir
from forkful.master.system.listeners import BindError, Listener
from forkful.worker.ipc.messages import NotLoaded

SETTINGS_FAILED, BOOT_FAILED, LOAD_FAILED = 1, 3, 4  # exit codes of a first start
SUPERSEDED = "superseded"  # the kind of a failure that nobody is told of
_EXIT_CODES = {"settings": SETTINGS_FAILED, "bind": SETTINGS_FAILED, "load": LOAD_FAILED}


def request(state: State, kind: Kind, waiters: list[int], now: float) -> None:
    """Begin a reload or an upgrade, or note that one is wanted after what is under way."""
    if state.stop is not None:
        outcome.answer(state, waiters, ok=False, message="the service is stopping")
        return
    if state.transaction is None:
        state.transaction = Transaction(Stage.IDLE)
    state.transaction.ask(kind, waiters)
    happened(state, Event.ASKED, now)


def recall(state: State, why: str, reason: str, waiters: list[int], now: float) -> None:
    """Have the spare generation back. `why` is a word for it, `reason` is told."""
    transaction = Transaction(Stage.IDLE, Kind.ROLLBACK, waiters=waiters, why=why, reason=reason)
    state.transaction = transaction
    happened(state, Event.RECALLED, now)


def start(state: State, plan: Plan, now: float) -> None:
    """The first start, or what an upgrade was for: the settings are read already."""
    state.transaction = state.transaction or Transaction(Stage.READING)
    state.transaction.read(plan)
    happened(state, Event.PLANNED, now)


def fail(state: State, failure: Failure, now: float) -> None:
    """What is under way has failed: the only way in for every failure."""
    if state.transaction is not None:
        state.transaction.fail(failure)
    happened(state, Event.FAILED, now)


def give_up(state: State, now: float) -> None:
    """The service is to stop."""
    if state.transaction is not None:
        state.transaction.fail(Failure("boot", "the service was stopped meanwhile"))
        happened(state, Event.STOPPED, now)


def happened(state: State, event: Event, now: float) -> None:
    """Look up what this event means at this stage, enter the stage that is next, and act."""
    transaction = state.transaction or Transaction(Stage.IDLE)
    row = look_up(TABLE, transaction.stage, event)
    if row.next is not transaction.stage:
        transaction.enter(row.next, now + PATIENCE.get(row.next, math.inf))
    if row.next is Stage.IDLE:
        state.transaction = None
    ACTIONS[row.do](state, transaction, now)


def _note(_state: State, transaction: Transaction, _now: float) -> None:
    transaction.ask_again()


def _begin(state: State, transaction: Transaction, now: float) -> None:
    """Send for the settings. In drop-in mode the script has them, which is itself the code to reload."""
    kind = transaction.begin(Kind.UPGRADE if state.server is not None else None)
    if state.scratch is not None:
        metrics_dir.mend(state.scratch)
    state.manager.notifier.reloading()
    previous = state.current.number if state.current else 0
    state.journal.report(ReloadStarted(kind.value, state.generations.count + 1, previous, state.meanwhile()))
    try:
        if state.directory:
            os.chdir(state.directory)  # by its name, which may lead elsewhere by now
    except OSError as error:
        trouble = f"cannot enter {state.directory}, where the service was started: {error.strerror}"
        fail(state, Failure("settings", trouble), now)
        return
    if state.server is not None:
        happened(state, Event.INSTALLED, now)
        return
    if (plan := state.watch.stands) is not None and kind is Kind.RELOAD:
        transaction.read(plan)
        happened(state, Event.PLANNED, now)
        return
    reader = [*descriptors.switches(), "-P", "-m", "forkful.conf.reader", *_pins(state, kind), *state.argv]
    # It may import handlers, and it reads LISTEN_FDS.
    environ = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
    try:
        helper = helpers.send("settings' reader", reader, environ, helper_is_back)
    except OSError as error:
        fail(state, Failure("settings", f"cannot start a process to read the settings: {error}"), now)
        return
    transaction.send(helper)
    state.watch_helper(helper)


def _pins(state: State, kind: Kind) -> list[str]:
    """What the settings' reader must take as it is here, whatever it reads."""
    if state.current is None:
        return []
    return ["--pinned", json.dumps(pins.for_reader(state.current.plan, upgrade=kind is Kind.UPGRADE))]


def helper_is_back(state: State, helper: Helper, now: float) -> None:
    """Take up what the settings' reader, or the probe, brought back."""
    transaction = state.transaction
    if transaction is None or transaction.helper is not helper:
        return
    transaction.helper_is_back()
    if helper.code != 0:
        kind = "load" if helper.code == LOAD_FAILED else "settings"
        message, trace = helpers.complaint(helper)
        fail(state, Failure(kind, message, trace), now)
        return
    if transaction.stage is Stage.PROBING:
        happened(state, Event.PROBED, now)
        return
    try:
        plan = Plan.from_json(helper.out.decode())
    except (ValueError, KeyError, TypeError) as error:
        fail(state, Failure("settings", f"the settings' reader gave no plan: {error!r}"), now)
        return
    if state.current is not None:
        plan = pins.pinned(state.current.plan, plan, upgrade=transaction.kind is Kind.UPGRADE)
    transaction.read(plan)
    happened(state, Event.INSTALLED if transaction.kind is Kind.UPGRADE else Event.PLANNED, now)


def _probe(state: State, transaction: Transaction, now: float) -> None:
    try:
        upgrade.probe(state, transaction, helper_is_back, now)
    except OSError as error:
        fail(state, Failure("boot", f"cannot start a process to try out the new installation: {error}"), now)


def _execute(state: State, _transaction: Transaction, now: float) -> None:
    try:
        upgrade.execute(state)
    except OSError as error:
        fail(state, Failure("boot", f"cannot execute the new installation: {error}"), now)


# -- molding -------------------------------------------------------------------------------------------------------


def _install(state: State, transaction: Transaction, now: float) -> None:
    """Make a generation of the plan: bind what is new, keep what is not, and start its mold."""
    plan = transaction.plan
    assert plan is not None
    for warning in plan.warnings:
        state.journal.report(Warned(warning))
    logs.prepare(plan.master.log)
    opened: list[Listener] = []
    try:
        bound = binding.listeners_of(state, plan, opened)
    except BindError as error:
        listeners.close_all(opened)
        fail(state, Failure("bind", str(error)), now)
        return
    for fd in state.listening.take_the_rest():  # before the first fork: no pool has its address any more
        os.close(fd)
    candidate = state.generations.make(plan, bound)
    transaction.try_out(candidate)
    for pool in plan.pools:
        for listener in bound[pool.name]:
            if listener in opened:
                why = f" ({pool.workers_reason})" if pool.workers_reason else ""
                state.journal.report(
                    Listening(pool.name, listener.bound, pool.workers, why, pool.threads, pool.handler)
                )
    actions.start_mold(state, candidate, now)
    if candidate.mold is None:
        fail(state, Failure("boot", "the kernel refused a process for the mold"), now)


def mold_is_ready(state: State, mold: MoldRecord, failures: Mapping[str, NotLoaded], now: float) -> None:
    """Its mold has imported what it could: start to replace workers, unless something could not be imported."""
    is_new = state.candidate is not None and state.candidate.mold is mold
    for pool, failure in failures.items():
        text = Failure("load", f"pool {pool}: {failure.message}", failure.traceback)
        if is_new:
            fail(state, text, now)
            return
        state.journal.report(Warned(f"mold gen={mold.generation}: {text.message}; its workers import for themselves"))
    if is_new:
        happened(state, Event.MOLDED, now)


def mold_is_unsecured(state: State, mold: MoldRecord, text: str, now: float) -> None:
    """It cannot read what TLS needs, and leaves. The workers that there are keep what they have."""
    if state.candidate is not None and state.candidate.mold is mold:
        fail(state, Failure("boot", f"TLS: {text}"), now)
    else:
        state.journal.report(Warned(f"mold gen={mold.generation}: TLS: {text}; it is tried again"))


def _cast(state: State, transaction: Transaction, _now: float) -> None:
    transaction.crashed_before(spare.looping(state))
    state.workers.forgive_all()
    if transaction.revives:
        state.targets.resume()


def _recall(state: State, transaction: Transaction, now: float) -> None:
    """Its mold has its code, and its addresses are open: it needs only workers."""
    assert state.current is not None
    generation = state.generations.take_spare()
    transaction.try_out(generation)
    transaction.read(generation.plan)
    state.manager.notifier.reloading()
    state.journal.report(
        RollbackStarted(generation.number, state.current.number, transaction.reason, state.meanwhile())
    )
    transaction.revive_nobody()  # who was retired by hand stays so
    _cast(state, transaction, now)


def mold_is_gone(state: State, generation: Generation, how: str, now: float) -> bool:
    """Whether the death of this mold was the end of a transaction. Later ones are replaced."""
    if state.candidate is not generation or state.stage is not Stage.MOLDING:
        return False
    text = f"the mold of generation {generation.number} {how} while it imported the handlers"
    fail(state, Failure("boot", text), now)
    return True


# -- rolling, and the end ------------------------------------------------------------------------------------------


def advance(state: State, now: float) -> float:
    """Go on if something has happened; return when to ask again."""
    transaction = state.transaction
    if transaction is None:
        return math.inf
    candidate = transaction.candidate
    if transaction.stage in SERVING and candidate is not None and candidate.mold is None:
        actions.start_mold(state, candidate, now)
    event = progress.event(state, transaction, now)
    if event is None:
        return progress.look_at(transaction)
    happened(state, event, now)
    return now


def _overtake(state: State, transaction: Transaction, now: float) -> None:
    transaction.ask_again()
    transaction.fail(Failure("overtaken", "another one was asked for meanwhile"))
    _undo(state, transaction, now)


def _commit(state: State, transaction: Transaction, now: float) -> None:
    """The new generation is whole: it is the current one now, by one assignment."""
    new = transaction.candidate
    assert new is not None
    old = state.generations.install(new)
    state.last_reload.serves(new.serves(time.time()))
    sampling.anew(state)
    binding.change_options(state, old.plan if old is not None else None, new)
    binding.keep_in_store(state, new)
    if old is not None:
        binding.give_anew(state, old.plan, new)
    if old is None and not waiting.begins(state, new):
        state.journal.report(Serving(len(new.plan.pools), state.workers.ready()))
        state.manager.notifier.send(READY=1)
        if state.probe:
            state.stop = Stop()
    elif old is not None:
        outcome.succeeded(state, transaction, old, new, now)
        if transaction.kind is not Kind.ROLLBACK:  # nobody wants back what was gone back from
            spare.keep(state, old, new, transaction.loops, now)
    _again(state, transaction, now)


def _undo(state: State, transaction: Transaction, now: float) -> None:
    """Remove what was new. The old generation serves on; without one, this is the end of the first start."""
    if transaction.helper is not None:
        helpers.recall(state, transaction.helper)
    if (candidate := transaction.candidate) is not None:
        if (mold := candidate.mold) is not None:
            actions.dismiss_mold(state, candidate)
            children.send_signal(mold.pid, signal.SIGKILL)  # in an import it would not see its channel close
        state.generations.retire(candidate)
        if transaction.bake is not None:
            state.workers.forgive_all()  # the old ones need not wait for the canaries' deaths
    failure = transaction.failure
    assert failure is not None
    if failure.kind == SUPERSEDED:
        pass
    elif state.current is not None:
        if transaction.revives:
            state.targets.resume()  # the old ones come back: they were asked for
        outcome.failed(state, transaction, failure, now)
    elif state.stop is None and (stand_in := waiting.instead(state, transaction, failure)) is not None:
        start(state, stand_in, now)
    elif state.stop is None:
        state.start_failure = failure
        state.journal.report(StartFailed(failure.message, failure.traceback))
        state.exit_code = _EXIT_CODES.get(failure.kind, BOOT_FAILED)
        state.stop = Stop()
    _again(state, transaction, now)


def _again(state: State, transaction: Transaction, now: float) -> None:
    """Begin what was asked for meanwhile."""
    if transaction.again is not None:
        request(state, *transaction.again, now)


def _go_on(_state: State, _transaction: Transaction, _now: float) -> None:
    """The stage says it all."""


ACTIONS: Mapping[Do, Callable[[State, Transaction, float], None]] = {
    Do.BEGIN: _begin,
    Do.NOTE: _note,
    Do.PROBE: _probe,
    Do.EXECUTE: _execute,
    Do.INSTALL: _install,
    Do.CAST: _cast,
    Do.WEIGH: bake.begin,
    Do.OVERTAKE: _overtake,
    Do.RECALL: _recall,
    Do.GO_ON: _go_on,
    Do.COMMIT: _commit,
    Do.UNDO: _undo,
}
