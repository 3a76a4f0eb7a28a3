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
from collections.abc import Mapping

from forkful.conf import descriptors, logs, pins
from forkful.conf.plan import Plan
from forkful.master.model.events import (
    ListenerClosed,
    Listening,
    ReloadFailed,
    ReloadStarted,
    ReloadSucceeded,
    Serving,
    StartFailed,
    UpgradeFailed,
    UpgradeSucceeded,
    Warned,
)
from forkful.master.model.fleet import Failure
from forkful.master.policy import pools
from forkful.master.supervisor import actions, helpers, sampling, upgrade
from forkful.master.supervisor.state import Generation, Helper, Kind, MoldRecord, Stage, State, Stop, Transaction
from forkful.master.system import children, fd_store, listeners, metrics_dir
from forkful.master.system.listeners import BindError, Listener
from forkful.worker.ipc.messages import NotLoaded
from forkful.worker.ipc.scoreboard import MAX_LISTENERS, MAX_POOLS

SETTINGS_FAILED, BOOT_FAILED, LOAD_FAILED = 1, 3, 4  # exit codes of a first start
_EXIT_CODES = {"settings": SETTINGS_FAILED, "bind": SETTINGS_FAILED, "load": LOAD_FAILED}
_FAREWELL = 2.0  # seconds for the old workers to say that they accept nothing more; they do so at once
_DELIVERY = 1.0  # seconds for the old admin child to deliver the answer
_READING_TIME = 60.0  # seconds for the settings' reader, which may import handlers to learn their kind


def request(state: State, kind: Kind, question: int | None, now: float) -> None:
    """Begin a reload or an upgrade, or note that one is wanted after what is under way."""
    waiters = [question] if question is not None else []
    if state.stop is not None:
        _answer(state, waiters, ok=False, message="the service is stopping")
        return
    if (transaction := state.transaction) is not None:
        before, waiting = transaction.again or (kind, [])
        wanted = Kind.UPGRADE if Kind.UPGRADE in (before, kind) else kind  # an upgrade reloads too
        transaction.again = (wanted, waiting + waiters)
        return
    if state.server is not None:
        kind = Kind.UPGRADE  # drop-in mode: the code to reload is the script itself
    state.transaction = Transaction(Stage.READING, kind, waiters=waiters, deadline=now + _READING_TIME)
    if state.current is not None:
        metrics_dir.mend(state.multiprocess, state.current.plan.master)
    state.notifier.reloading()
    state.journal.report(ReloadStarted(kind.value, state.generations + 1, state.current.number if state.current else 0))
    try:
        if state.server is not None:
            upgrade.probe(state, None, helper_is_back, now)
        else:
            reader = [*descriptors.switches(), "-P", "-m", "forkful.conf.reader", *_pins(state, kind), *state.argv]
            # It may import handlers, and it reads LISTEN_FDS.
            environ = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
            state.transaction.helper = helpers.send("settings' reader", reader, environ, helper_is_back)
            state.watch_helper(state.transaction.helper)
    except OSError as error:
        fail(state, Failure("settings", f"cannot start a process to read the settings: {error}"), now)


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
    transaction.helper = None
    if helper.code != 0:
        kind = "load" if helper.code == LOAD_FAILED else "settings"
        message, trace = helpers.complaint(helper)
        fail(state, Failure(kind, message, trace), now)
        return
    if transaction.stage is Stage.PROBING:
        try:
            upgrade.execute(state)
        except OSError as error:
            fail(state, Failure("boot", f"cannot execute the new installation: {error}"), now)
        return
    try:
        plan = Plan.from_json(helper.out.decode())
    except (ValueError, KeyError, TypeError) as error:
        fail(state, Failure("settings", f"the settings' reader gave no plan: {error!r}"), now)
        return
    if state.current is not None:
        plan = pins.pinned(state.current.plan, plan, upgrade=transaction.kind is Kind.UPGRADE)
    if transaction.kind is not Kind.UPGRADE:
        install(state, plan, now)
        return
    try:
        upgrade.probe(state, plan, helper_is_back, now)
    except OSError as error:
        fail(state, Failure("boot", f"cannot start a process to try out the new installation: {error}"), now)


# -- molding -------------------------------------------------------------------------------------------------------


def install(state: State, plan: Plan, now: float) -> None:
    """Make a generation of a plan: bind what is new, keep what is not, and start its mold."""
    transaction = state.transaction or Transaction(Stage.READING)
    state.transaction = transaction
    for warning in plan.warnings:
        state.journal.report(Warned(warning))
    opened: list[Listener] = []
    try:
        bound = _listeners(state, plan, opened)
    except BindError as error:
        listeners.close_all(opened)
        fail(state, Failure("bind", str(error)), now)
        return
    for fd in state.stored.values():  # before the first fork: no pool has its address any more
        os.close(fd)
    state.forgotten, state.stored = [*state.forgotten, *state.stored], {}
    state.generations += 1
    transaction.candidate = Generation(state.generations, plan, bound)
    transaction.stage = Stage.MOLDING
    transaction.deadline = math.inf
    for pool in plan.pools:
        for listener in bound[pool.name]:
            if listener in opened:
                why = f" ({pool.workers_reason})" if pool.workers_reason else ""
                state.journal.report(
                    Listening(pool.name, listener.bound, pool.workers, why, pool.threads, pool.handler)
                )
    actions.start_mold(state, transaction.candidate, now)
    if transaction.candidate.mold is None:
        fail(state, Failure("boot", "the kernel refused a process for the mold"), now)


def _listeners(state: State, plan: Plan, opened: list[Listener]) -> dict[str, tuple[Listener, ...]]:
    """The listeners of each pool: by difference, so that an address that stays keeps its very socket."""
    held = state.held()
    result = {}
    for pool in plan.pools:
        _number_pool(state, pool.name)
        row = []
        for address in pool.bind:
            key = str(address)
            if key not in held:
                if address.fd in {x.sock.fileno() for x in [*held.values(), *state.admin.listeners]}:
                    raise BindError(f"cannot listen on {address}: it is a socket of the master's own")
                stored = state.stored.pop(fd_store.name_of(key), None)
                inode = os.fstat(stored).st_ino if stored is not None else 0
                held[key] = listeners.bind(address, backlog=pool.backlog, reuse_port=pool.reuse_port, stored=stored)
                opened.append(held[key])
                if stored is not None and os.fstat(held[key].sock.fileno()).st_ino != inode:
                    state.forgotten.append(fd_store.name_of(key))  # nobody could reach that one any more
            _number_listener(state, plan, pool.name, key)
            row.append(held[key])
        result[pool.name] = tuple(row)
    return result


def _number_pool(state: State, name: str) -> None:
    if name not in state.pools:
        if len(state.pools) >= MAX_POOLS:
            raise BindError(f"pool {name}: there were {MAX_POOLS} pools of different names since the start; restart")
        state.pools[name] = len(state.pools)


def _number_listener(state: State, plan: Plan, pool: str, address: str) -> None:
    """Give a pool's address its cell on the scoreboard. A cell of an address that is gone may be used again."""
    if (pool, address) in state.numbers:
        return
    wanted = {str(a) for p in plan.pools if p.name == pool for a in p.bind}
    for generation in state.all_generations():
        wanted.update(str(x.address) for x in generation.listeners.get(pool, ()))
    for key in [key for key in state.numbers if key[0] == pool and key[1] not in wanted]:
        if sum(key[0] == pool for key in state.numbers) >= MAX_LISTENERS:
            del state.numbers[key]
    free = set(range(MAX_LISTENERS)) - {n for (name, _), n in state.numbers.items() if name == pool}
    if not free:
        raise BindError(f"pool {pool}: at most {MAX_LISTENERS} addresses")
    state.numbers[pool, address] = min(free)


def mold_is_ready(state: State, mold: MoldRecord, failures: Mapping[str, NotLoaded], now: float) -> None:
    """Its mold has imported what it could: start to replace workers, unless something could not be imported."""
    for pool, failure in failures.items():
        text = Failure("load", f"pool {pool}: {failure.message}", failure.traceback)
        transaction = state.transaction
        if transaction is not None and transaction.candidate is not None and transaction.candidate.mold is mold:
            fail(state, text, now)
            return
        state.journal.report(Warned(f"mold gen={mold.generation}: {text.message}; its workers import for themselves"))
    transaction = state.transaction
    if transaction is None or transaction.candidate is None or transaction.candidate.mold is not mold:
        return
    if transaction.stage is Stage.MOLDING:
        transaction.stage = Stage.ROLLING
        state.strikes.clear()
        state.paused = state.paused and not transaction.revives


def mold_is_gone(state: State, generation: Generation, how: str, now: float) -> bool:
    """Whether the death of this mold was the end of a transaction."""
    transaction = state.transaction
    if transaction is None or transaction.candidate is not generation or transaction.stage is not Stage.MOLDING:
        return False
    fail(
        state, Failure("boot", f"the mold of generation {generation.number} {how} while it imported the handlers"), now
    )
    return True


# -- rolling, and the end ------------------------------------------------------------------------------------------


def advance(state: State, now: float) -> float:
    """Commit what is whole, give up what is overdue; return when to ask again."""
    transaction = state.transaction
    if transaction is None:
        return math.inf
    if transaction.failure is not None:
        fail(state, transaction.failure, now)
        return now
    if transaction.helper is not None and transaction.deadline <= now:
        fail(state, Failure("settings", f"the {transaction.helper.what} was not back in time"), now)
        return now
    candidate = transaction.candidate
    if candidate is not None and candidate.mold is not None and candidate.mold.deadline <= now:
        fail(state, Failure("boot", "the handlers were not imported within boot_timeout"), now)
        return now
    if transaction.stage is Stage.ROLLING and candidate is not None and candidate.mold is None:
        actions.start_mold(state, candidate, now)
    if transaction.stage is Stage.ROLLING and candidate is not None and _roll(state, transaction, candidate, now):
        return now
    mold_deadline = candidate.mold.deadline if candidate is not None and candidate.mold is not None else math.inf
    return min(transaction.deadline, mold_deadline)


def _roll(state: State, transaction: Transaction, candidate: Generation, now: float) -> bool:
    """Take the next step of the roll if it can be taken: proven, whole, committed."""
    fleet = state.fleet.values()
    names = {pool.name for pool in candidate.plan.pools}
    facts = [pool for pool in state.wanted() if pool.name in names]
    if not transaction.proven:
        transaction.proven = all(pools.has_canary(pool, fleet) for pool in facts)
        return transaction.proven
    if not transaction.whole:
        transaction.whole = all(pools.is_whole(pool, fleet) for pool in facts)
        transaction.deadline = now + _FAREWELL if transaction.whole else math.inf
        return transaction.whole
    if transaction.deadline <= now or all(pools.is_settled(pool, fleet) for pool in state.wanted()):
        _commit(state, transaction, now)
        return True
    return False


def _commit(state: State, transaction: Transaction, now: float) -> None:
    """The new generation is whole: it is the current one now, by one assignment."""
    old, state.current = state.current, transaction.candidate
    state.transaction = None
    assert state.current is not None
    last, plan = state.last_reload, state.current.plan
    last.success_at = time.time()
    sampling.anew(state)
    listeners.listen_anew((pool.backlog, state.current.listeners[pool.name]) for pool in plan.pools)
    _keep_in_store(state, state.current)
    if old is None:
        state.journal.report(Serving(len(plan.pools), sum(pool.workers for pool in plan.pools)))
        state.notifier.send(READY=1)
        if state.probe:
            state.stop = Stop(quick=False, drain_at=now)
        _again(state, transaction, now)
        return
    state.retired.append(old)
    note = pins.told(old.plan, plan)
    last.successful, last.finished_at, last.message, last.traceback = True, time.time(), note, ""
    try:
        logs.configure(plan.master.log, "master")
    except OSError as error:
        state.journal.report(Warned(f"the master's log goes on where it was: {error}"))
    done = UpgradeSucceeded if transaction.kind is Kind.UPGRADE else ReloadSucceeded
    state.journal.report(done(state.current.number, f"; {note}" if note else ""))
    state.notifier.send(READY=1)
    message = f"generation {state.current.number} serves" + (f"; {note}" if note else "")
    _answer(state, transaction.waiters, ok=True, message=message)
    relogs = old.plan.master.log != plan.master.log
    if transaction.kind is Kind.UPGRADE or relogs or math.isfinite(state.admin.replace_at):
        state.admin.replace_at = now + _DELIVERY
    _again(state, transaction, now)


def _keep_in_store(state: State, generation: Generation) -> None:
    """Have the manager keep the listeners that are the service's from now on, in place of those that are not.

    Not before: a generation that failed would leave sockets behind in which clients wait for nobody.
    """
    for name in state.forgotten:
        state.notifier.unstore(name)
    state.forgotten.clear()
    if state.server is not None:
        return  # drop-in mode: the script binds for itself, and would find its address taken
    wanted = {fd_store.name_of(str(x.address)): x for row in generation.listeners.values() for x in row}
    for name, listener in wanted.items():
        if name not in state.kept and listener.address.scheme != "fd":  # whoever handed that one to us keeps it
            state.notifier.store(name, listener.sock.fileno())
            state.kept.add(name)


def forget(state: State, listener: Listener) -> None:
    """Have the manager drop a listener."""
    name = fd_store.name_of(str(listener.address))
    state.kept.discard(name)
    state.notifier.unstore(name)


def fail(state: State, failure: Failure, now: float) -> None:
    """Remove what was new. The old generation serves on; without one, this is the end of the first start."""
    transaction, state.transaction = state.transaction, None
    if transaction is None:
        return
    if transaction.helper is not None:
        helpers.recall(state, transaction.helper)
    if (candidate := transaction.candidate) is not None:
        if (mold := candidate.mold) is not None:
            actions.dismiss_mold(state, candidate)
            children.send_signal(mold.pid, signal.SIGKILL)  # in an import it would not see its channel close
        state.retired.append(candidate)
    if state.current is None:
        if state.stop is None:
            state.start_failure = failure
            state.journal.report(StartFailed(failure.message, failure.traceback))
            state.exit_code = _EXIT_CODES.get(failure.kind, BOOT_FAILED)
            state.stop = Stop(quick=True, drain_at=now)
        _again(state, transaction, now)
        return
    last = state.last_reload
    last.successful, last.finished_at = False, time.time()
    last.message, last.traceback = failure.message, failure.traceback
    failed = UpgradeFailed if transaction.kind is Kind.UPGRADE else ReloadFailed
    state.journal.report(failed(failure.message, failure.traceback))
    metrics_dir.forget(state.multiprocess)
    state.notifier.send(READY=1)
    _answer(state, transaction.waiters, ok=False, message=failure.message, traceback=failure.traceback)
    if math.isfinite(state.admin.replace_at):
        state.admin.replace_at = now + _DELIVERY
    _again(state, transaction, now)


def _again(state: State, transaction: Transaction, now: float) -> None:
    """Begin what was asked for meanwhile."""
    if transaction.again is not None:
        kind, waiters = transaction.again
        if state.stop is not None:
            _answer(state, waiters, ok=False, message="the service is stopping")
            return
        request(state, kind, None, now)
        if state.transaction is not None:
            state.transaction.waiters += waiters


def _answer(state: State, waiters: list[int], *, ok: bool, message: str, traceback: str = "") -> None:
    for question in waiters:
        state.answer(question, ok=ok, message=message, traceback=traceback)


def bury(state: State) -> None:
    """Let go of the listeners that only generations of the past hold, and of these once they have no workers left.

    The listeners at once: their workers empty the queues and close, and where we kept a socket open longer it would
    take in clients whom nobody will serve.
    """
    present = [state.current, state.transaction.candidate if state.transaction is not None else None]
    kept = {str(x.address) for g in present if g is not None for row in g.listeners.values() for x in row}
    for generation in [*state.retired]:
        actions.dismiss_mold(state, generation)  # it casts nobody any more, and has the sockets too
        gone = [x for row in generation.listeners.values() for x in row if str(x.address) not in kept]
        for listener in gone:
            if listener.is_open:
                forget(state, listener)
                state.journal.report(ListenerClosed(listener.bound))
                listener.close()
        if not any(worker.generation == generation.number for worker in state.fleet.values()):
            state.retired.remove(generation)
            listeners.close_all(gone)
