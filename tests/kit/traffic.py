"""Light traffic by a program's own client: it asks again and again, and each failure is kept.

Can go wrong: nothing here; what went wrong is in `lost`, and the test says how much may.
"""

import threading
from collections.abc import Callable
from typing import Self

from tests.kit.wait import PATIENCE, TooLateError

_PACE = 0.02  # seconds between two questions


class Traffic:
    """`ask` asks one question by a connection of its own, and raises if the answer is not right."""

    def __init__(self, ask: Callable[[], object], *, clients: int = 2) -> None:
        self.answered = 0
        self.lost: list[str] = []
        self._ask = ask
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(clients)]

    def more(self, count: int, *, within: float = 3 * PATIENCE) -> None:
        """Wait until so many more questions were answered well."""
        with self._changed:
            wanted = self.answered + count
            if not self._changed.wait_for(lambda: self.answered >= wanted, within):
                raise TooLateError(f"{wanted - self.answered} of {count} answers missing; lost: {self.lost}")

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(3 * PATIENCE)
            assert not thread.is_alive(), "a client is stuck"

    def _client(self) -> None:
        while not self._over.wait(_PACE):
            try:
                self._ask()
            except Exception as error:  # noqa: BLE001  # any client's own kinds
                with self._changed:
                    self.lost.append(repr(error))
            else:
                with self._changed:
                    self.answered += 1
                    self._changed.notify_all()
