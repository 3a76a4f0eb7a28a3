"""What the user's code sees: kinds of handlers, loading, hooks, `draining`, `bequeath`, `Tally` and `owns_loop`."""

from forkful.handlers.farewell import Farewell, draining
from forkful.handlers.hooks import HookContext
from forkful.handlers.inheritance import BEQUEST_MAX, bequeath, inherited, when_inherited
from forkful.handlers.own import OwnsLoop, owns_loop
from forkful.handlers.tally import Tally

__all__ = [
    "BEQUEST_MAX",
    "Farewell",
    "HookContext",
    "OwnsLoop",
    "Tally",
    "bequeath",
    "draining",
    "inherited",
    "owns_loop",
    "when_inherited",
]
