"""A machine: a table that says for a state and an event what to do and which state is next.

The theory: whatever happens is an event, and each state answers each event that can reach it with one row of the
table. What a machine does is seen in its table, drawn in CONTRIBUTING.md and tested row by row; those who act only look
it up. An event that has no row in a state cannot happen there, so it is a bug of ours and raises at once.
Can go wrong: such a bug: `ImpossibleError`.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Generic, TypeVar

from forkful.conf.light import dataclass

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)
D = TypeVar("D", bound=Enum)


class ImpossibleError(Exception):
    """A machine got an event that its state has no answer to."""


@dataclass(frozen=True, slots=True)
class Row(Generic[S, D]):
    """An answer: what to do, and the state that is entered before it is done."""

    do: D
    next: S


Table = Mapping[tuple[S, E], Row[S, D]]


def look_up(table: Table[S, E, D], state: S, event: E) -> Row[S, D]:
    """Return the answer of this state to this event."""
    row = table.get((state, event))
    if row is None:
        raise ImpossibleError(f"{type(state).__name__} {state.name} has no answer to {event.name}: {event.value}")
    return row
