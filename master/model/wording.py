"""The wording: an event's text with what it tells filled in, as `str.format` would do it.

`str.format` looks up each name by a string that it makes anew, and Python's cache of attributes keeps up to 4,096 of
those (Objects/typeobject.c): half a KiB of the master's memory with each reload, until there are as many. `attrgetter`
has its names for good.
"""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from string import Formatter
from typing import Any

from forkful.master.model.events import Event

_Piece = tuple[str, Callable[[Any], Any] | None, str]  # Any: a field of any event; a text, what follows it, and how


def in_words(event: Event) -> str:
    """What to log of it."""
    return "".join(
        literal + (format(get(event), how) if get is not None else "")
        for literal, get, how in _pieces(type(event).TEXT)
    )


@cache
def _pieces(text: str) -> tuple[_Piece, ...]:
    pieces: list[_Piece] = []
    for literal, field, how, conversion in Formatter().parse(text):
        assert not conversion, text
        assert field is None or field.startswith("e."), text
        pieces.append((literal, attrgetter(field.removeprefix("e.")) if field else None, how or ""))
    return tuple(pieces)
