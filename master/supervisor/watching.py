"""Watching: what the master does where `reload` is set: it has a watcher, and a change of a file is a reload.

The settings are only read again where a file of theirs has changed. A change while a generation is still tried takes
its place, for that one is of the past; not while somebody sits at a prompt of it, whom it waits for.
Can go wrong: the watcher ends: there is another after a pause.
"""

import math
import os
import random
import signal
import time
from dataclasses import replace

from forkful.conf.plan import Plan
from forkful.master.model.events import FilesChanged, FilesWatched, NotUnderstood, ReloadSuperseded, Warned
from forkful.master.model.fleet import Failure, Patience, Phase, Worker
from forkful.master.policy.throttle import Strikes, is_young, strike
from forkful.master.policy.transaction import Stage
from forkful.master.policy.watched import Rules
from forkful.master.supervisor import reload
from forkful.master.supervisor.generations import MoldRecord
from forkful.master.supervisor.state import State
from forkful.master.supervisor.transaction import Kind, Transaction
from forkful.master.system import children, identity, spawn, watcher
from forkful.worker.ipc import messages, reload_messages
from forkful.worker.ipc.channel import Channel

FromChild = reload_messages.Imported | reload_messages.AtPrompt

WATCHER = "watcher"
#: The stages that a newer change puts an end to: nobody of the new generation serves yet.
_FUTILE = frozenset({Stage.READING, Stage.MOLDING, Stage.TRYING})
_PATIENCE = 5  # generations that are given up in a row


def advance(state: State, now: float) -> float:
    """See that there is a watcher if there is to be one, of what the settings say now; return when to look again."""
    record = state.watch
    plan = _plan(state)
    rules = rules_of(state, plan) if plan is not None and plan.master.reload and not _is_leaving(state) else None
    if rules == record.rules and (rules is None) == (not record.pid):
        return math.inf
    if record.pid and rules != record.rules:
        dismiss(state)
    if rules is not None and plan is not None and not record.pid:
        if now < record.strikes.not_before:
            return record.strikes.not_before
        _start(state, plan, rules, now)
    return math.inf


def _is_leaving(state: State) -> bool:
    return state.probe or (state.stop is not None and state.stop.draining)


def _plan(state: State) -> Plan | None:
    generation = state.current or state.candidate
    return generation.plan if generation is not None else state.watch.plan


def rules_of(state: State, plan: Plan) -> Rules:
    """What the watcher is to watch."""
    master = plan.master
    return Rules(
        roots=(master.chdir or state.directory or os.getcwd(),),  # noqa: PTH109  # a text
        settings=(plan.settings,) if plan.settings else (),
        extra=master.reload_extra_file,
        include=master.reload_include,
        exclude=master.reload_exclude,
    )


def _start(state: State, plan: Plan, rules: Rules, now: float) -> None:
    try:
        ours, theirs = Channel.pair()
    except OSError as error:
        _refused(state, error, now)
        return
    since = state.watch.left_at or state.started_at
    discard = [*state.private(), ours, *state.listeners().values(), *state.listening.tables.values()]

    def main() -> int:
        watcher.prepare()  # as who we are: whom the workers belong to may not be let into our installation
        identity.assume(plan.master)
        spawn.die_with_parent()
        return watcher.run(theirs, rules, since)

    try:
        pid = spawn.fork_child(f"{plan.master.name}: {WATCHER}", discard, main, dies_with_parent=True)
    except OSError as error:
        _refused(state, error, now)
        ours.close()
        return
    finally:
        theirs.close()
    state.watch.started(pid, ours, rules, plan, now)
    state.watch_watcher()
    if state.watch.imported:
        ours.send(reload_messages.Imported(state.watch.imported, 0))


def _refused(state: State, error: OSError, now: float) -> None:
    state.journal.report(Warned(f"cannot start the watcher of files: {error}"))
    state.watch.strike(lambda s: strike(s, was_ready=False, now=now, dice=random.random()))


def dismiss(state: State) -> None:
    """Let it go: it leaves when its channel closes."""
    pid, channel = state.watch.gone(time.time())
    if channel is not None:
        state.unwatch(channel)
        channel.close()
    if pid:
        state.leaving.expect(pid, WATCHER)


def has_ended(state: State, pid: int, how: str, now: float) -> None:
    """The watcher is gone without having been told to."""
    young = is_young(state.watch.started_at, now)
    _, channel = state.watch.gone(time.time())
    if channel is not None:
        state.unwatch(channel)
        channel.close()
    state.watch.strike(lambda s: strike(s if young else Strikes(), was_ready=True, now=now, dice=random.random()))
    if state.stop is None:
        state.journal.report(Warned(f"watcher pid={pid}: {how}; it is replaced"))


def hear(state: State, now: float) -> None:
    """Take what the watcher says."""
    channel = state.watch.channel
    if channel is None:
        return
    for message in channel.receive(messages.FROM_WATCHER):
        match message:
            case reload_messages.Watching(directories=directories):
                state.watch.sees(directories)
                state.journal.report(FilesWatched(directories))
            case reload_messages.Changed(files=files, others=more, settings=settings):
                _changed(state, files, more, settings=settings, now=now)
            case reload_messages.Unwatched(why=why):
                state.journal.report(Warned(f"--reload: {why}"))
            case messages.Refused(why=why):
                state.journal.report(NotUnderstood(f"{WATCHER} pid={state.watch.pid}", why))
                children.send_signal(state.watch.pid, signal.SIGKILL)
    if channel.closed:
        state.unwatch(channel)


def heard(state: State, child: Worker | MoldRecord, message: FromChild, now: float) -> None:
    """What a worker or a mold has imported, or that somebody sits at a prompt of it, or does no more."""
    match message:
        case reload_messages.Imported():
            _imported(state, message)
        case reload_messages.AtPrompt(now=sits):
            state.watch.prompting(child.pid, now=sits)
            if isinstance(child, Worker):
                _prompted(state, child, sits=sits, now=now)


def _imported(state: State, message: reload_messages.Imported) -> None:
    """A process has imported these."""
    record = state.watch
    if message.left_out:
        state.journal.report(Warned(f"--reload: {message.left_out} imported files are too many to be watched"))
    if (news := record.learn(message.files)) and record.channel is not None:
        record.channel.send(reload_messages.Imported(news, 0))


def _prompted(state: State, worker: Worker, *, sits: bool, now: float) -> None:
    """While it leaves its time stands still where somebody sits at it, and begins anew afterwards."""
    if worker.phase is Phase.DRAINING and worker.patience is Patience.WHOLE:
        generation = state.generation(worker.generation)
        patience = generation.plan.master.graceful_timeout if generation is not None else 0.0
        state.workers.change(replace(worker, deadline=math.inf if sits else now + patience))


def _changed(state: State, files: tuple[str, ...], more: int, *, settings: bool, now: float) -> None:
    if state.stop is not None:
        return
    root = state.watch.rules.roots[0] if state.watch.rules is not None else ""
    names = [os.path.relpath(path, root) if path.startswith(f"{root}/") else path for path in files]
    state.journal.report(FilesChanged(names[0], len(names) + more - 1))
    transaction = state.transaction
    waiting: list[int] = []
    plan = _standing(state)
    reads = settings or plan is None
    if transaction is None:
        state.watch.begins_anew()
    else:
        if not _is_futile(state, transaction):
            reload.request(state, Kind.RELOAD, [], now)  # afterwards
            return
        if transaction.again is not None and transaction.again[0] is not Kind.RELOAD:
            return  # what comes next reads everything anew
        reads |= transaction.again is not None or not state.watch.stands
        waiting = _supersede(state, transaction, now)
    state.watch.let_stand(None if reads else plan)
    reload.request(state, Kind.RELOAD, waiting, now)


def _standing(state: State) -> Plan | None:
    """The plan that a reload of the code alone takes; None: it has to be read, for it follows from the code."""
    if state.current is None or state.server is not None:
        return None
    plan = state.watch.plan if state.current.plan.stand_in else state.current.plan
    return None if plan is None or plan.stand_in or plan.assumed else plan


def _is_futile(state: State, transaction: Transaction) -> bool:
    """Whether what is tried can be given up: nobody sits at a prompt, and there is an end for files that never rest."""
    if transaction.kind is not Kind.RELOAD or state.stage not in _FUTILE or state.watch.prompts:
        return False
    return state.watch.given_up < _PATIENCE


def _supersede(state: State, transaction: Transaction, now: float) -> list[int]:
    """Give up what is tried, without a word; return who waits for its end."""
    waiting = transaction.hand_on()
    state.watch.gives_up()
    reload.fail(state, Failure(reload.SUPERSEDED, "the files have changed once more"), now)
    state.journal.report(ReloadSuperseded(state.generations.count))
    return waiting
