"""Commands: programs that the master starts when something happens to the service, as their settings say.

There is no shell between: a text is split into words as a shell would, and a list has them already.
Can go wrong: a program that does not exist, what only a shell could read: each comes back as a `Mistake`.
"""

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping

from forkful.conf.machine import Machine
from forkful.conf.mistakes import Mistake
from forkful.conf.people import NobodyError, user_number
from forkful.conf.plan import COMMANDS
from forkful.conf.settings import Settings
from forkful.conf.values import Section

_SHELLS = {"|", "||", "&", "&&", ";", "<", ">", ">>", "2>", "2>&1"}


def weigh(settings: Settings, environ: Mapping[str, str], base: str, uid: int) -> Iterator[Mistake]:
    """What cannot be started. `base` is the directory in which it would be."""
    master = settings.master
    yield from _runner(master, uid)
    for name in COMMANDS:
        said = master[name]
        if not said.value:
            continue
        if found := next((word for word in said.value if word in _SHELLS), ""):
            hint = f'write {name} = ["sh", "-c", "..."]'
            if said.value[0] not in {"sh", "bash", "/bin/sh", "/bin/bash"}:
                yield Mistake(said.place, f"{found!r} means something to a shell only, and there is none here", hint)
        if program(said.value, environ, base) is None:
            where = said.value[0] if "/" in said.value[0] else f"{said.value[0]}, in {environ.get('PATH', '')}"
            yield Mistake(said.place, f"there is no program {where}", f"the words are {shlex.join(said.value)}")


def _runner(master: Section, uid: int) -> Iterator[Mistake]:
    said = master["command_user"]
    try:
        if said.value and uid and user_number(said.value) != uid:
            yield Mistake(said.place, f"only root can become user {said.value}", "start the service as root")
    except NobodyError as error:
        yield Mistake(said.place, str(error))


def program(words: tuple[str, ...], environ: Mapping[str, str], base: str) -> str | None:
    """The file that would be executed."""
    name = os.path.join(base, words[0]) if "/" in words[0] else words[0]  # noqa: PTH118  # texts
    return shutil.which(name, path=environ.get("PATH", os.defpath))


def of_root(master: Section, environ: Mapping[str, str], machine: Machine) -> Iterator[tuple[str, str]]:
    """What root runs although workers are somebody else: each event, and the file."""
    try:
        if machine.uid or not master["command_user"].value or user_number(master["command_user"].value):
            return
    except NobodyError:
        return  # a mistake, which is told
    base = os.path.join(machine.cwd, master["chdir"].value)  # noqa: PTH118  # texts
    for name in COMMANDS:
        found = program(master[name].value, environ, base) if master[name].value else None
        if found is not None:
            yield name, found
