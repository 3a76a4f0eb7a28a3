"""Descriptors 0 to 2: there before anything else is opened, whatever the starter has closed.

Where one of them is closed (`2>&-`), the next file that is opened becomes standard error, and what is written there
lands in it. Also the switches of this interpreter, which a program that we execute is to have as well.
Can go wrong: /dev/null cannot be opened: `OSError`.
"""

import contextlib
import os
import sys
from functools import cache


def complete() -> None:
    """Open /dev/null for those of the three that are closed, and give Python streams there."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, open(2)
            if opened != fd:
                os.dup2(opened, fd)
                os.close(opened)
            os.set_inheritable(fd, True)
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(fd, "w" if fd else "r", closefd=False))  # noqa: SIM115  # it stays open


def close_others(kept: set[int]) -> None:
    """Let go of what the starter has left open, beside the first three and those that are meant for us."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names
        if int(name) > 2 and int(name) not in kept:  # noqa: PLR2004  # as above
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(int(name))


@cache
def switches() -> tuple[str, ...]:
    """The switches that this interpreter was started with (-O, -W, -X, ...), less -c, -m and the program.

    Who may be short of descriptors later asks once before that: to import is to open files.
    """
    import subprocess  # noqa: PLC0415  # who only completes his descriptors starts nothing

    known: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001  # as multiprocessing does
    flags = [flag for flag, before in zip(known, ["", *known], strict=False) if "-X" not in (flag, before)]
    for name, value in sys._xoptions.items():  # noqa: SLF001  # all of them; the other knows some
        flags += ["-X", name if value is True else f"{name}={value}"]
    return tuple(flags)
