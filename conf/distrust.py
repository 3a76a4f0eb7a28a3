"""Distrust: what root takes from places that the workers' user can write, each told by its name.

Who may write them becomes root by them sooner or later, or decides what root opens. `user` is then no boundary.
Can go wrong: nothing; a place that cannot be looked at is not warned of.
"""

import os
import sys
from collections.abc import Iterator, Mapping

from forkful.conf import commands, python_variables
from forkful.conf.machine import Machine
from forkful.conf.people import Identity, NobodyError
from forkful.conf.settings import Settings
from forkful.conf.trust import Stranger, writable

_READ = "and so decides what root opens and binds after a reload (log_file, pid, Unix addresses)"
_EXECUTED = "and so what root executes at a reload or an upgrade"
_ASKED = "and so what root executes, as command_user says"
_FOUND = "and so what is found there by a relative path"
_PID = "and so whom scripts signal that read it"
_LOG = "and so which file it is; root uses it with that user's rights alone"


def warnings(settings: Settings, environ: Mapping[str, str], machine: Machine, config: str) -> Iterator[str]:
    """For the log and for `forkful check`."""
    master = settings.master
    try:
        who = Stranger.of(Identity.of(master["user"].value, master["group"].value))
    except NobodyError:
        return  # a mistake, which is told
    if who is None or who.uid == machine.uid:
        return
    base = os.path.join(machine.cwd, master["chdir"].value)  # noqa: PTH118  # texts
    seen = set[tuple[str, str]]()
    for path, what, so in _places(settings, environ, machine, config):
        place = os.path.join(base, path)  # noqa: PTH118
        if (theirs := writable(place, who)) and (theirs, what) not in seen:
            seen.add((theirs, what))
            yield f"user {master['user'].value} can write {theirs} ({what}), {so}"


def _places(
    settings: Settings, environ: Mapping[str, str], machine: Machine, config: str
) -> Iterator[tuple[str, str, str]]:
    """Path, what it is, and what follows where they may write it."""
    master = settings.master
    if config:
        yield os.path.join(machine.cwd, config), "the settings file", _READ  # noqa: PTH118
    if master["log_config"].value:
        yield master["log_config"].value, "the file of log_config", _READ
    yield from ((path, f"the program of {name}", _ASKED) for name, path in commands.of_root(master, environ, machine))
    yield sys.prefix, "the environment of this Python", _EXECUTED
    yield sys.executable, "this Python", _EXECUTED
    yield from ((entry, "where Python imports from", _EXECUTED) for entry in sys.path if entry)
    for name in ("PYTHONHOME", *python_variables.NAMES[:4]):
        parts = filter(None, environ.get(name, "").split(os.pathsep))
        yield from ((part, name, _EXECUTED) for part in parts)
    yield machine.cwd, "the working directory", _FOUND
    if master["chdir"].value:
        yield master["chdir"].value, "chdir", _FOUND
    if master["pid"].value:
        yield os.path.dirname(master["pid"].value) or ".", "the directory of the pid file", _PID  # noqa: PTH120
    for key in ("log_file", "access_log"):
        if (value := master[key].value) not in {"", "-"}:
            yield os.path.dirname(value) or ".", f"the directory of {key}", _LOG  # noqa: PTH120
