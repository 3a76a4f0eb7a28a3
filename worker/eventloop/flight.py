"""A request in flight, as the accounting has it and as stacks tell of it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class Flight:
    """A request in flight, which says in its `str` what it is and of whom; for stacks.

    `task` serves it, if one does.
    """

    __slots__ = ()

    began = 0  # monotonic ns
    task: "asyncio.Task[None] | None" = None
