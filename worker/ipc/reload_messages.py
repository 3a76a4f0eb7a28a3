"""What is said with `reload` only: which files are imported, watched and changed, and who sits at a prompt.

By workers and molds `Imported` and `AtPrompt`, to workers `Mistaken`; to the watcher `Imported`, the rest by it.
"""

from forkful.conf.light import dataclass


@dataclass(frozen=True, slots=True)
class Mistaken:
    """The code that was to take your place cannot be loaded: browsers are shown why. With `reload` only."""

    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Imported:
    """I have imported these files, by their directories, beside `left_out` that are too many. With `reload` only."""

    files: dict[str, tuple[str, ...]]
    left_out: int


@dataclass(frozen=True, slots=True)
class AtPrompt:
    """Somebody sits at a debugger of mine, or at `input()`; or does no more. With `reload` only."""

    now: bool


@dataclass(frozen=True, slots=True)
class Watching:
    """I see all changes from now on, in so many directories."""

    directories: int


@dataclass(frozen=True, slots=True)
class Changed:
    """These files have, among others if there are `others`; `settings`: those of the service are among them."""

    files: tuple[str, ...]
    others: int
    settings: bool


@dataclass(frozen=True, slots=True)
class Unwatched:
    """Something cannot be watched, and why."""

    why: str
