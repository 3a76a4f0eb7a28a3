"""The balance between event loops on one listener: who already holds more than its share leaves the next to others.

Each worker looks at what the others hold (their rows on the scoreboard). Workers that do not accept (starting,
draining, full) are not waited for, and one that says it accepts but does not, because it is stuck or dead, holds the
others back for `PATIENCE` once a second and no longer.
Rows may be a moment old, which makes shares a little uneven.
"""

from typing import TYPE_CHECKING, Final

from forkful.worker.ipc.scoreboard import ACCEPTED, ACCEPTING, ACTIVE, MAX_LISTENERS, PID

if TYPE_CHECKING:
    from forkful.worker.ipc.scoreboard import Scoreboard

PATIENCE: Final = 0.02  # seconds after which those we step back for count as stuck
FORGET: Final = 1.0  # seconds until a stuck worker is given another chance
LEAD: Final = 2  # connections that one may be ahead by, and an eighth of what the least has
ANY: Final = 1024  # more than are taken at once: nobody else accepts
_LOOK: Final = 0.25  # seconds that the list of seats stays good


class AcceptBalance:
    """Compares what this worker holds with the other workers of its pool."""

    def __init__(self, board: "Scoreboard", pool: int, row: "memoryview[int]") -> None:
        self._board = board
        self._pool = pool
        self._mine = row
        self._others: list[memoryview[int]] = []
        self._looked = 0.0
        self._shut = 0.0  # since when we step back, 0: we do not
        self._stuck: dict[int, tuple[float, int]] = {}  # by position: until when, and what it had taken by then

    def allowance(self, now: float) -> int:
        """How many connections may be taken now; 0 or less: step back."""
        if now - self._looked > _LOOK:
            self._look(now)
        least = -1
        for number, other in enumerate(self._others):
            if other[ACCEPTING] and (least < 0 or other[ACTIVE] < least) and not self._is_stuck(number, other, now):
                least = other[ACTIVE]
        if least < 0:
            self._shut = 0.0
            return ANY
        mine = self._mine[ACTIVE]
        allowed = least + LEAD + least // 8 - mine
        if allowed > 0:
            self._shut = 0.0
        elif not self._shut:
            self._shut = now
        elif now - self._shut > PATIENCE:
            self._give_up(now, mine)
            return 1
        return allowed

    def _look(self, now: float) -> None:
        seats = [seat for seat in self._board.seats(self._pool) if seat[PID] != self._mine[PID]]
        if len(seats) != len(self._others):
            self._stuck.clear()
        self._others, self._looked = seats, now

    def _is_stuck(self, number: int, other: "memoryview[int]", now: float) -> bool:
        known = self._stuck.get(number)
        if known is None:
            return False
        if now < known[0] and _taken(other) == known[1]:
            return True
        del self._stuck[number]
        return False

    def _give_up(self, now: float, mine: int) -> None:
        """Those that hold less have had their chance."""
        self._shut = 0.0
        for number, other in enumerate(self._others):
            if other[ACCEPTING] and other[ACTIVE] + LEAD + other[ACTIVE] // 8 <= mine:
                self._stuck[number] = now + FORGET, _taken(other)


def _taken(other: "memoryview[int]") -> int:
    return sum(other[ACCEPTED : ACCEPTED + MAX_LISTENERS])
