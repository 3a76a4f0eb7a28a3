"""The working directory as its user named it: a symbolic link to the current release stays one.

The kernel knows only where the link led when the service was started. So the name is kept, and looked up again whenever
code or settings are read: a link that was switched since leads to the new release then.
Can go wrong: nobody named it, or the name leads elsewhere: then it is what the kernel says.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping


def started_in() -> str:
    """Where this process was started, by its name if it has one; "" if it is gone already."""
    with contextlib.suppress(OSError):
        here = os.getcwd()  # noqa: PTH109  # a text
        return named(here, os.environ) or here
    return ""


def named(here: str, environ: Mapping[str, str], config: str = "") -> str:
    """The absolute path by which the working directory `here` was named, or "".

    `$PWD` says it where a shell, or whoever behaves like one, has started us; else the folder of the settings file may
    be the same place by a name of its own.
    """
    found = [name for name in _candidates(environ, config) if _are_one(here, name)]
    links = [name for name in found if os.path.realpath(name) != name]
    return next(iter([*links, *found]), "")


def interpreter(directory: str) -> str:
    """The running interpreter, by the name of the directory that it is in: a release may bring its own."""
    place = os.path.realpath(directory)
    within = directory and sys.executable.startswith(f"{place}/")
    return directory + sys.executable[len(place) :] if within else sys.executable


def _candidates(environ: Mapping[str, str], config: str) -> Iterator[str]:
    """Absolute, and without `..`, which means something else behind a link."""
    for name in (environ.get("PWD", ""), os.path.dirname(config)):  # noqa: PTH120  # a text, as it was written
        if os.path.isabs(name) and ".." not in name.split("/"):  # noqa: PTH117  # as above
            yield os.path.normpath(name)


def _are_one(here: str, name: str) -> bool:
    try:
        return os.path.samefile(here, name)  # noqa: PTH121  # as above
    except OSError:  # it is gone, or may not be looked at
        return False
