"""What the user's code sees: handler kinds, loading, ready-made handlers, and `draining()`."""

from forkful.handlers.farewell import Farewell, draining

__all__ = ["Farewell", "draining"]
