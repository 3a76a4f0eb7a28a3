"""A mistake in the settings: where it is, what is wrong, and what would be right."""

import difflib
from collections.abc import Iterable, Sequence

from forkful.conf.light import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """`place` is a file and key, a variable or a flag; `hint` says what would be right."""

    place: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" + (f"; {self.hint}" if self.hint else "")


class Mistakes(Exception):  # noqa: N818  # the word that operators read
    """The settings cannot be used; here is everything that is wrong with them."""

    code = 1  # of the process: mistakes in the settings, or an address that cannot be bound

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(str(self))

    def __str__(self) -> str:
        count = f"{len(self.mistakes)} mistakes" if len(self.mistakes) != 1 else "1 mistake"
        return "\n  ".join([f"{count} in the settings:", *map(str, self.mistakes)])


class Unloadable(Exception):  # noqa: N818
    """The handler could not be loaded when we asked what kind it is."""

    code = 4  # of the process

    def __init__(self, handler: str, error: str, traceback: str = "") -> None:
        self.handler = handler
        self.error = error
        self.traceback = traceback
        super().__init__(str(self))

    def __str__(self) -> str:
        return f"the handler {self.handler} could not be loaded: {self.error}\n{self.traceback}".rstrip()


def nearest(word: str, right: Iterable[str]) -> str:
    """Did you mean ...? Empty where nothing is near, for a wrong guess is worse than none."""
    wanted = word.lower().replace("-", "_").strip("_")
    names = {name.lower().replace("-", "_").strip("_"): name for name in right}
    matches = difflib.get_close_matches(wanted, list(names), n=3, cutoff=0.72)
    matches += [name for name in names if sorted(name) == sorted(wanted)]
    begun = [name for name in names if len(wanted) > 3 and name.startswith(wanted)]  # noqa: PLR2004  # not of a few letters
    near = [name for name in [*matches, *begun] if sorted(name[:2]) == sorted(wanted[:2]) or name[:1] == wanted[:1]]
    return f"did you mean {names[near[0]]}?" if near else ""
