"""`forkful serve`: reads the settings, then executes the master in its place.

Nothing that draws a help is imported for it: every start pays for what is here.
Can go wrong: mistakes in the settings (exit code 1), a handler that cannot be loaded when its kind is asked (4).
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from forkful.conf import arguments, descriptors, python_variables, reader
from forkful.conf.directory import interpreter, named
from forkful.conf.mistakes import Mistakes, Unloadable
from forkful.conf.people import Identity
from forkful.conf.plan import MasterPlan
from forkful.conf.trust import Stranger
from forkful.master.model import document
from forkful.master.system import early


def serve(words: Sequence[str]) -> NoReturn:
    """Become the master, with what followed `serve`."""
    try:
        plan = reader.read(words, os.environ, ask=ask, first=True)
    except (Mistakes, Unloadable) as wrong:
        print(wrong, file=sys.stderr, flush=True)
        sys.exit(wrong.code)
    config = arguments.parse(words)[0].config or os.environ.get("FORKFUL_CONFIG", "")
    if directory := named(os.getcwd(), os.environ, config):  # noqa: PTH109
        os.environ["PWD"] = directory  # where the master finds it, too
        sys.executable = interpreter(directory)
    if plan.master.reload:
        os.environ["PYTHONUNBUFFERED"] = "1"  # what is printed is seen at once, wherever it goes
    early.hand_over()
    # Executing the master afresh sheds what reading the settings needed: it and all that it forks stay small.
    fd = document.write({"plan": json.loads(plan.to_json()), "argv": [*words]})
    command = [sys.executable, *descriptors.switches(), "-P", "-m", "forkful.master.main", str(fd)]
    becomes_another = Stranger.of(Identity.of(plan.master.user, plan.master.group)) is not None
    os.execve(command[0], command, python_variables.hidden(os.environ) if becomes_another else os.environ)


def ask(handler: str, timeout: float, master: MasterPlan) -> reader.Answer:
    """What a handler serves: as its source says, which is read here; where it does not, a process imports it.

    That process is also asked where workers become somebody else: with root's eyes its source is not read.
    """
    if not master.user and not master.group:
        from forkful.handlers.kind import by_source  # noqa: PLC0415  # an address with a scheme asks nobody

        if kind := by_source(handler, master.chdir or os.getcwd()):  # noqa: PTH109
            return reader.Answer(kind)
    return reader.ask_handler(handler, timeout, master)
