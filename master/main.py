"""The master's entrance: `python -P -m forkful.master.main FD`, executed once the settings are good.

`FD` is a descriptor with a JSON document: the plan, and what followed `forkful serve`, for reloads. Executing afresh
sheds what reading the settings needed, so that the master, and all that is forked from it, stay small.
Can go wrong: an address is taken (exit code 1), no worker can boot (3), a handler cannot be loaded (4).
"""

import gc

if __name__ == "__main__":
    gc.disable()  # a tenth of what imports take goes into looking for garbage, of which they leave little

import atexit
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import NoReturn

import setproctitle

from forkful.conf import descriptors, file_rights, logs, pins
from forkful.conf.directory import started_in
from forkful.conf.light import dataclass
from forkful.conf.people import NobodyError
from forkful.conf.plan import LogPlan, Plan
from forkful.conf.trust import Stranger
from forkful.master.model import document
from forkful.master.model.document import Document
from forkful.master.model.events import AdminListening, MasterStarted, MasterUpgraded, StartFailed, Warned
from forkful.master.model.fleet import Failure
from forkful.master.supervisor import handover, reaper, reload
from forkful.master.supervisor.handover import Kept
from forkful.master.supervisor.loop import Loop
from forkful.master.supervisor.state import State
from forkful.master.system import admin_socket, fd_store, identity, kept_code, listeners, metrics_dir, pidfile, spawn
from forkful.master.system.listeners import Listener
from forkful.master.system.sd_notify import unreachable, watchdog_interval
from forkful.worker import compiled
from forkful.worker.ipc import messages
from forkful.worker.ipc.scoreboard import Scoreboard

_QUIET = LogPlan(level="critical", file="/dev/null")  # a probe's: what it has to say is how it ends
_NO_METRICS = (
    "handlers' own prometheus_client metrics are not on /metrics: no directory can be written; make one and name it in "
    "TMPDIR, or mount one at /tmp or /dev/shm"
)


def main() -> int:
    """Read the hand-over and be the master until the end."""
    gc.freeze()  # what was imported stays, here and in all that is forked from here, and is never looked at again
    gc.enable()
    handed = document.read(int(sys.argv[1]))
    plan = Plan.from_json(json.dumps(handed["plan"]))
    if "probe" in handed:
        return run_probe(plan, handed)
    if "state" not in handed and Stranger.of(identity.of(plan.master)) is not None:
        _close_what_is_not_ours(plan)
    kept_code.keep()
    return run(plan, handed["argv"], handover.read(handed["state"]) if "state" in handed else None)


def _close_what_is_not_ours(plan: Plan) -> None:
    """Workers that are somebody else get nothing that root's shell had open."""
    named = {address.fd for pool in plan.pools for address in pool.bind if address.scheme == "fd"}
    descriptors.close_others(named | fd_store.handed_down(os.environ, os.getpid()))


def run_probe(plan: Plan, handed: Document) -> int:
    """Serve just long enough to know that this installation could. Nobody is told but who sent us."""
    try:
        handover.check(handed["probe"])
    except handover.HandoverError as error:
        sys.stderr.write(f"{error}\n")
        return reload.SETTINGS_FAILED
    return run(plan, handed["argv"], probe=True)


@dataclass(frozen=True, slots=True)
class Script:
    """Drop-in mode: the server object that a script made, the socket it bound, and who wants to know our loop."""

    server: object
    listener: Listener | None  # None: the state that was handed over has it
    started: Callable[[Loop], None]
    directory: str  # where it was started, whether or not it has gone elsewhere since
    failure: Failure | None = None  # it did not come to serve: the old generation goes on (`second_start`)


def run(
    plan: Plan,
    argv: list[str],
    kept: Kept | None = None,
    *,
    probe: bool = False,
    script: Script | None = None,
) -> int:
    """Start or continue, supervise, stop. Returns the exit code."""
    compiled.use()  # also by a probe: it tries out what will serve
    descriptors.switches()  # now, while there are descriptors to be had
    if kept is not None and kept.current is not None:
        plan = pins.pinned(kept.current.plan, plan, upgrade=True)
    board = Scoreboard(kept.board if kept is not None else None)
    state = State(board=board, argv=argv, version=plan.version, probe=probe)
    state.directory = script.directory if script is not None else started_in()
    if kept is None and not probe:
        state.listening.handed_back(fd_store.take(os.environ, state.pid))
    state.manager.expects_signs(watchdog_interval(os.environ, state.pid))
    if script is not None:
        state.server = script.server
        if script.listener is not None:
            state.listening.adopt(script.listener)
    with ExitStack() as life:
        file_rights.share_with(identity.of(plan.master))
        if not _open_logs(state, _QUIET if probe else plan.master.log, going_on=kept is not None):
            return reload.SETTINGS_FAILED
        spawn.become_subreaper()
        setproctitle.setproctitle(f"{plan.master.name}: master")
        if not _take_pid_file(life, state, plan.master.pid, going_on=kept is not None):
            _tell_starter(state)
            return reload.SETTINGS_FAILED
        if plan.master.reload:
            _import_what_serves()
        _keep_metrics(life, state, *((kept.multiprocess, kept.scratch) if kept is not None else ("", -1)))
        loop = Loop(state)
        life.callback(loop.close)
        life.enter_context(loop.signal_handlers())
        if script is not None:
            script.started(loop)
        life.callback(_close_listeners, state)
        if kept is not None:
            resume(state, plan, kept, script.failure if script is not None else None)
        else:
            begin(state, plan)
        code = loop.run()
        _tell_starter(state)
        return code
    raise AssertionError("an ExitStack does not swallow what it was not asked to")


def _import_what_serves() -> None:
    """Where code is developed each new mold is a fork of ours, and need not import it: a third of a reload's time."""
    from forkful.handlers.kinds import Form  # noqa: PLC0415  # 60 ms and 15 MB that no other master pays for
    from forkful.worker import loop_worker  # noqa: PLC0415  # as above
    from forkful.worker.http import mistake_page  # noqa: F401, PLC0415  # as above

    for form in (Form.WSGI, Form.ASGI):
        loop_worker.warm(form)
    gc.collect()
    gc.freeze()


def _keep_metrics(life: ExitStack, state: State, before: str, locked: int) -> None:
    """See to a directory for the handlers' own metrics; `before` is that of the last image, `locked` holds it."""
    state.multiprocess, state.scratch = life.enter_context(metrics_dir.directory(before, locked))
    if not state.multiprocess:
        state.journal.report(Warned(_NO_METRICS))
    if state.scratch is not None:
        state.own.append(state.scratch)


def _close_listeners(state: State) -> None:
    listeners.close_all([*state.admin.listeners, *state.listening.adopted.values(), *state.every_listener()])


def _built(state: State) -> tuple[str, str]:
    """(Python's version, what serves HTTP)."""
    code = compiled.use()
    if code.why:
        state.journal.report(Warned(f"HTTP is served by pure Python, though a compiled library is here: {code.why}"))
    return sys.version.split()[0], str(code)


def begin(state: State, plan: Plan) -> None:
    """The first start: a transaction whose settings are read already."""
    state.journal.report(MasterStarted(plan.master.name, state.version, os.getpid(), *_built(state)))
    if problem := unreachable(os.environ):
        state.journal.report(Warned(f"cannot notify the service manager: {problem}"))
    open_admin(state, plan)
    reload.start(state, plan, time.monotonic())


def resume(state: State, plan: Plan, kept: Kept, failure: Failure | None) -> None:
    """The next image after an upgrade: everything goes on, and the new code is a reload, or has failed already."""
    handover.restore(state, kept)
    for worker in state.workers.fleet.values():
        state.board.claim(worker.row, worker.lanes, state.listening.pools[worker.pool])
    for token, channel in state.workers.channels.items():
        channel.budget = messages.WORKER_SAYS
        state.watch_worker(token)
        state.workers.told(token)  # of what the last image said, too
    for mold in state.molds():
        mold.channel.budget = messages.MOLD_SAYS
        state.watch_mold(mold)
    state.watch_admin()
    if kept.pid_file != plan.master.pid:
        pidfile.remove(kept.pid_file)
    wanted = {str(address) for address in plan.admin}
    listeners.close_all(x for x in state.admin.listeners if str(x.address) not in wanted)
    state.admin.leave_out_closed()
    open_admin(state, plan)
    if failure is None:
        workers = len(state.workers.fleet)
        state.journal.report(MasterUpgraded(plan.master.name, state.version, os.getpid(), *_built(state), workers))
    now = time.monotonic()
    reaper.reap(state, now)  # what ended while nobody could hear SIGCHLD
    if failure is None:
        reload.start(state, plan, now)
    else:
        reload.fail(state, failure, now)


def open_admin(state: State, plan: Plan) -> None:
    """Listen for the admin child, where that is not done yet. One that is taken is a warning: it hurts nobody."""
    held = {str(listener.address) for listener in state.admin.listeners}
    missed: list[str] = []
    for address in plan.admin:
        if str(address) in held:
            continue
        if address.is_abstract:
            why = "whoever opens it commands us, and an abstract name has no permissions"
            state.journal.report(Warned(f"the admin child does not listen on {address}: {why}"))
            continue
        try:
            listener = admin_socket.bind(address, plan.access.group) if address.is_unix else listeners.bind(address)
        except (listeners.BindError, OSError, NobodyError) as error:
            missed.append(str(error))
            continue
        state.admin.listen(listener)
        state.journal.report(AdminListening(listener.bound))
    for why in missed:
        where = ", ".join(listener.bound for listener in state.admin.listeners)
        left = f"it does on {where}" if where else "so there are no metrics, and no commands can be given"
        state.journal.report(Warned(f"the admin child does not listen on this address: {why}; {left}"))


def _take_pid_file(life: ExitStack, state: State, name: str, *, going_on: bool) -> bool:
    """Say in the file who we are. A service that runs goes on without."""
    try:
        life.enter_context(pidfile.kept(name))
        state.pid_file = name
    except OSError as error:
        trouble = f"pid file {name}: {error.strerror or error}"
        state.journal.report(Warned(trouble) if going_on else StartFailed(trouble))
        state.start_failure = None if going_on else Failure("settings", trouble)
        return going_on
    return True


def _tell_starter(state: State) -> None:
    """Say why a start failed on standard error too, where whoever started us looks, if the log is somewhere else."""
    if (failure := state.start_failure) is not None and not logs.is_on_stderr(StartFailed.LEVEL):
        _say(f"{failure.message}\n{failure.traceback}".rstrip())


def _say(text: str) -> None:
    with contextlib.suppress(OSError, AttributeError):  # AttributeError: there is no standard error
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _open_logs(state: State, log: LogPlan, *, going_on: bool) -> bool:
    """Open the log. A service that runs goes on without its file, on standard error, and says so."""
    try:
        logs.configure(log, "master")
    except OSError as error:
        if not going_on:
            _say(f"the log {error.filename or log.file} cannot be opened: {error.strerror or error}")
            return False
        logs.configure(replace(log, file="-", access=""), "master")
        state.journal.report(Warned(f"the master logs to standard error: its log file cannot be opened: {error}"))
    return True


def _end(code: int) -> NoReturn:
    """Leave without taking apart, object by object, what the kernel frees at once: that took longer than the stop."""
    atexit._run_exitfuncs()  # noqa: SLF001  # logging's, and those of whoever traces us
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # AttributeError: there is none
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _end(main())
