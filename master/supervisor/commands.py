"""Commands: programs that the master starts when something happens, and never waits for.

Each has a process group of its own, /dev/null to read, a deadline after which its group is killed, and the workers'
user where nothing else is said. What it writes goes to the log, so many lines.
Can go wrong: the kernel refuses a process, or there is no such program any more: told and counted.
"""

import contextlib
import os
import signal
from dataclasses import replace

from forkful.conf import python_variables
from forkful.conf.plan import MasterPlan
from forkful.master.model.user_events import CommandEnded, CommandFailed, CommandMerged, CommandSaid, CommandWaits
from forkful.master.policy import commands
from forkful.master.policy.commands import Call
from forkful.master.supervisor.command_runs import Output, Run
from forkful.master.supervisor.state import State
from forkful.master.system import children, identity, spawn

QUICK = 2.0  # seconds that a quick stop leaves them
_CANNOT_RUN = 127  # as shells say it
_CHUNK, _MOST = 65_536, 1 << 20  # bytes: at a time, and of what is still in the pipe when it has ended
_FOR_PROGRAMS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTTIN, signal.SIGTTOU)  # which we, or Python, ignore


def advance(state: State, now: float) -> float:
    """Start what has been asked for, kill what is overdue; return when to look again."""
    runs = state.commands
    _listen(state)
    for run in runs.overdue(now):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        children.send_signal(run.pid, signal.SIGKILL)  # if it has no group of its own yet
    for call in commands.due(runs.waiting, runs.names()):
        runs.begin(call)
        _start(state, call, now)
    for name in runs.waiting:
        if runs.first_told(name):
            state.journal.report(CommandWaits(name))
    return runs.deadline()


def end_by(state: State, until: float) -> None:
    """The service stops, so they have until then. Those that only wait are given up."""
    state.commands.end_by(until)


def _listen(state: State) -> None:
    """Take up what has happened. Nothing is run for a service that was never ready, or is only tried out."""
    events, state.journal.news = state.journal.news, []
    current = state.current
    if current is None or state.probe:
        return
    for event in events:
        call = commands.call_for(event)
        if call is None or state.commands.stops:
            continue
        if call.name == "on_stop":
            for given_up in state.commands.stop():
                why = "is not run any more, as the service stops"
                state.journal.report(CommandFailed(given_up.name, "dropped", why, given_up.count))
        if getattr(current.plan.master, call.name) and state.commands.ask(call):
            state.journal.report(CommandMerged(call.name))


def _start(state: State, call: Call, now: float) -> None:
    current = state.current
    if current is None:
        return
    plan = current.plan.master
    words: tuple[str, ...] = getattr(plan, call.name)
    if not words:
        return  # a reload has taken it out meanwhile
    try:
        read, write = os.pipe()
    except OSError as error:
        _not_started(state, call, error)
        return
    try:
        pid = spawn.fork_child(
            f"{plan.name}: {call.name}",
            (),
            lambda: _become(plan, words, call.environ(state.pid), write),
            dies_with_parent=True,
        )
    except OSError as error:
        os.close(read)
        _not_started(state, call, error)
        return
    finally:
        os.close(write)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)  # as it does itself: whoever is first
    os.set_blocking(read, False)
    run = state.commands.began(call, pid, read, now, plan.command_timeout)
    state.watch_command(run.pid, read)


def _not_started(state: State, call: Call, error: OSError) -> None:
    state.journal.report(CommandFailed(call.name, "failure", f"cannot be started: {error.strerror}"))


def _become(plan: MasterPlan, words: tuple[str, ...], told: dict[str, str], output: int) -> int:
    """In the child: be that program."""
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    who = replace(plan, user=plan.command_user, group="") if plan.command_user else plan
    try:
        identity.assume(who)
        spawn.die_with_parent()
        for number in _FOR_PROGRAMS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        environ = dict(os.environ) if os.geteuid() == 0 else python_variables.shown(os.environ)
        os.execvpe(words[0], words, environ | told)  # nosec B606  # no shell, which is the point
    except OSError as error:
        os.write(2, f"cannot run {words[0]}: {error.strerror}\n".encode())
    return _CANNOT_RUN


# -- what they say, and their end ------------------------------------------------------------------------------------


def hear(state: State, pid: int) -> None:
    """Take what one wrote."""
    run, output = state.commands.running.get(pid), state.commands.outputs.get(pid)
    if run is None or output is None:
        return
    with contextlib.suppress(BlockingIOError):
        data = os.read(output.fd, _CHUNK)
        _tell(state, run, output.lines(data))
        if not data:
            _close(state, output)
            del state.commands.outputs[pid]


def _tell(state: State, run: Run, lines: list[str]) -> None:
    for line in lines:
        state.journal.report(CommandSaid(run.name, run.pid, line))


def _close(state: State, output: Output) -> None:
    state.unwatch(output.fd)
    output.close()


def ended(state: State, pid: int, code: int, now: float) -> None:
    """The kernel says that it is over."""
    run, output, was_killed = state.commands.ended(pid)
    if output is not None:
        _tell(state, run, output.lines(_rest(output.fd), is_end=True))
        _close(state, output)
        if output.unsaid:
            state.journal.report(CommandSaid(run.name, pid, f"({output.unsaid} more lines are left out)"))
    if was_killed:
        result, how = "timeout", f"was killed after {now - run.began:.1f} s"
    elif code:
        result, how = "failure", f"ended with {code}" if code > 0 else f"was ended by {signal.strsignal(-code)}"
    else:
        state.journal.report(CommandEnded(run.name, "success", f"ended well after {now - run.began:.1f} s"))
        return
    state.journal.report(CommandFailed(run.name, result, how))


def _rest(fd: int) -> bytes:
    data = b""
    with contextlib.suppress(BlockingIOError):
        while len(data) < _MOST and (more := os.read(fd, _CHUNK)):
            data += more
    return data
