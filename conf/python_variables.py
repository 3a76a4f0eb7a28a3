"""Python's variables: those by which an interpreter runs other code are for the workers, not for what root executes.

`PYTHONPATH` names the application's directories, as a rule, and a module there takes the place of any other's. So where
workers become somebody else these variables have other names in the master, and their own again in the workers.
Can go wrong: the package itself was found by `PYTHONPATH`: that entry stays, or nothing could be executed.
"""

import os
import site
import sys
from collections.abc import Mapping
from pathlib import Path

#: python(1). `PYTHONHOME` stays: without it this interpreter may find nothing at all.
NAMES = ("PYTHONPATH", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONBREAKPOINT")
_HIDDEN = "_FORKFUL_"


def hidden(environ: Mapping[str, str]) -> dict[str, str]:
    """For what root executes."""
    found = {f"{_HIDDEN}{name}" if name in NAMES else name: value for name, value in environ.items()}
    home = str(Path(__file__).parents[2])
    if home in map(os.path.abspath, environ.get("PYTHONPATH", "").split(os.pathsep)):
        found["PYTHONPATH"] = home
    return found


def shown(environ: Mapping[str, str]) -> dict[str, str]:
    """For what the workers' user executes."""
    back = {name: environ[f"{_HIDDEN}{name}"] for name in NAMES if f"{_HIDDEN}{name}" in environ}
    return {name: value for name, value in environ.items() if name.removeprefix(_HIDDEN) not in back} | back


def restore() -> None:
    """In a process that has become that user, as if it had been started with them."""
    if any(f"{_HIDDEN}{name}" in os.environ for name in NAMES):
        back = shown(os.environ)
        os.environ.clear()
        os.environ.update(back)
        entries = [os.path.abspath(entry) for entry in back.get("PYTHONPATH", "").split(os.pathsep) if entry]  # noqa: PTH100  # text
        sys.path[:0] = [entry for entry in entries if entry not in sys.path]
        site.execsitecustomize()  # tracers are put in that way
