"""A budget: how many bytes of one kind may wait in this process, all connections together.

Nothing is refused when it is spent: who would add to it asks first, and waits.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BODIES: Final = 268_435_456  # bytes of requests' bodies that wait for the application, in memory or in files
ANSWERS: Final = 67_108_864  # bytes of answers that wait for clients who are slow to read them


class Budget:
    """Kept in the loop; `spent` may be asked in any thread. `relieved` is called once it is not any more."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self.relieved: Callable[[], None] | None = None

    @property
    def spent(self) -> bool:
        return self.held > self.limit

    def hold(self, size: int) -> None:
        """So many bytes more, or less."""
        before, self.held = self.held, self.held + size
        if self.relieved is not None and self.held <= self.limit < before:
            self.relieved()
