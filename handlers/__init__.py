"""What the user's code sees: handler kinds, loading, ready-made handlers, `draining`, `bequeath` and `owns_loop`."""

from forkful.handlers.farewell import Farewell, draining
from forkful.handlers.inheritance import BEQUEST_MAX, bequeath, inherited, when_inherited
from forkful.handlers.own import OwnsLoop, owns_loop

__all__ = [
    "BEQUEST_MAX",
    "Farewell",
    "OwnsLoop",
    "bequeath",
    "draining",
    "inherited",
    "owns_loop",
    "when_inherited",
]
