"""What the user's code sees: handler kinds, loading, ready-made handlers, `draining()` and `owns_loop`."""

from forkful.handlers.farewell import Farewell, draining
from forkful.handlers.own import OwnsLoop, owns_loop

__all__ = ["Farewell", "OwnsLoop", "draining", "owns_loop"]
