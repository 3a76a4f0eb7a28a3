"""The command line of a Python interpreter: its own options, and what it runs with which arguments."""

from collections.abc import Sequence
from typing import NamedTuple

_WITH_VALUE = "WX"  # short options that take one, python(1)
_LONG_WITH_VALUE = "--check-hash-based-pycs"


class Split(NamedTuple):
    """`kind` is "script", "module" or "code"; `what` names it."""

    options: list[str]
    kind: str
    what: str
    arguments: list[str]


def split(command: Sequence[str]) -> Split:
    """Split `python [options] SCRIPT|-m MODULE|-c CODE [arguments]`, as `sys.orig_argv` has it."""
    rest = list(command[1:])
    options: list[str] = []
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        if option == _LONG_WITH_VALUE:
            options += [option, rest.pop(0)]
            continue
        for place, letter in enumerate(option[1:] if not option.startswith("--") else "", start=1):
            value = option[place + 1 :]
            if letter in "cm":
                if place > 1:
                    options.append(option[:place])
                what = value or rest.pop(0)
                return Split(options, "code" if letter == "c" else "module", what, rest)
            if letter in _WITH_VALUE:
                options += [option] if value else [option, rest.pop(0)]
                break
        else:
            options.append(option)
    return Split(options, "script", rest[0] if rest else "", rest[1:])
