"""Prompts, with `reload`: the master hears when somebody sits at one, and lets who sits there take their time.

Debuggers (`breakpoint()`, `pdb.set_trace()`, `pdb.post_mortem()`, `code.interact()`) ask by `input()`, and so it is
`input` that is wrapped.
Can go wrong: a debugger that reads the terminal in a way of its own is not seen; it has `graceful_timeout`.
"""

import builtins
import functools
from collections.abc import Callable


def follow(tell: Callable[[bool], object]) -> None:
    """Call `tell` with True before each prompt, with False after it. Wrapped anew in a child, whose `tell` it is."""
    plain = getattr(builtins.input, "__wrapped__", builtins.input)

    @functools.wraps(plain)
    def wrapped(prompt: object = "", /) -> str:
        tell(True)
        try:
            return plain(prompt)
        finally:
            tell(False)

    builtins.input = wrapped
