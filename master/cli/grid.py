"""Lines of styled text and tables of them, drawn for a terminal, a file or a screen that wraps for itself.

`rich`, which draws what moves, takes 200 ms to import and to draw its first table: more than all else in a command.
Can go wrong: a table that cannot be made as narrow as is wanted is wider.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

_STYLES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}  # ECMA-48, SGR
_GAP, _RULE = "  ", "─"
_LEAST = 8  # columns of a terminal that are left to what is broken
_WIDE: Final = frozenset({"W", "F"})  # two columns each: Unicode's annex 11


class Span(NamedTuple):
    """Text in one style; "" is none."""

    text: str
    style: str = ""


Line = Sequence[Span]


def line(*parts: str | tuple[str, str]) -> Line:
    """One line, or several where a text has line ends, of plain texts and texts with a style."""
    return [Span(part) if isinstance(part, str) else Span(*part) for part in parts]


def drawn(lines: Iterable[Line], *, color: bool) -> str:
    """As text, without spaces at the ends of lines."""
    texts = ("".join(map(_colored, each) if color else (span.text for span in each)) for each in lines)
    return "\n".join(each.rstrip() for text in texts for each in text.split("\n"))


def _colored(span: Span) -> str:
    return f"\x1b[{_STYLES[span.style]}m{span.text}\x1b[0m" if span.style and span.text else span.text


class Table:
    """Cells by their column's title; with a space in front of it they are figures.

    Figures and what is `whole` are never broken; the others are where there is no room.
    """

    def __init__(self, columns: Mapping[str, Sequence[Span]], whole: Sequence[str] = ()) -> None:
        self._columns = columns
        self._whole = whole

    @property
    def width(self) -> int:
        """What it takes where nothing is broken."""
        return _sum(self._natural().values())

    def lines(self, width: int) -> Iterator[Line]:
        """Broken to fit into `width`, where that can be done."""
        widths = self._natural()
        while (over := _sum(widths.values()) - width) > 0:
            broken = {title: each for title, each in widths.items() if each > _LEAST and not self._is_whole(title)}
            if not broken:
                break
            widest, *others = sorted(broken, key=broken.__getitem__, reverse=True)
            next_one = broken[others[0]] if others else _LEAST
            widths[widest] -= max(1, min(over, broken[widest] - next_one))
        yield from self._row([Span(title.strip(), "bold") for title in widths], widths)
        yield [Span(_RULE * _sum(widths.values()))]
        for cells in zip(*self._columns.values(), strict=True):
            yield from self._row(cells, widths)

    def _natural(self) -> dict[str, int]:
        return {
            title: max(cells(part) for span in (Span(title.strip()), *column) for part in _parts(span.text))
            for title, column in self._columns.items()
        }

    def _is_whole(self, title: str) -> bool:
        return title.startswith(" ") or title in self._whole

    def _row(self, row: Sequence[Span], widths: Mapping[str, int]) -> Iterator[Line]:
        folded = [
            [piece for part in _parts(span.text) for piece in _folded(part, width)]
            for span, width in zip(row, widths.values(), strict=True)
        ]
        for number in range(max(map(len, folded), default=0)):
            spans: list[Span] = []
            for pieces, span, (title, width) in zip(folded, row, widths.items(), strict=True):
                text = pieces[number] if number < len(pieces) else ""
                piece, room = Span(text, span.style), Span(" " * (width - cells(text)))
                gap = Span(_GAP if spans else "")
                spans += [gap, room, piece] if title.startswith(" ") else [gap, piece, room]
            yield spans


def cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in _WIDE) for each in text)


def _sum(widths: Iterable[int]) -> int:
    each = [*widths]
    return sum(each) + len(_GAP) * max(0, len(each) - 1)


def _parts(text: str) -> list[str]:
    return text.split("\n")


def _folded(text: str, width: int) -> Iterator[str]:
    """Pieces of at most `width`, at least one."""
    piece, used = "", 0
    for char in text:
        size = cells(char)
        if used + size > width and piece:
            yield piece
            piece, used = "", 0
        piece, used = piece + char, used + size
    yield piece
