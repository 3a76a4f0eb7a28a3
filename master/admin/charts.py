"""The charts: lines over the last minutes as small SVG pictures, made from numbers alone.

Each says in words, for those who do not see it, what is on it. Colours are classes of the page's style.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from forkful.conf.light import dataclass

WIDTH: Final = 300
HEIGHT: Final = 72
GAP: Final = 3  # periods without a sample that break a line

Moment = tuple[float, float | None]  # unix seconds, figure; None: no figure then


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what it shows, its class in the style, its figures by time."""

    name: str
    look: str
    moments: Sequence[Moment]

    @property
    def last(self) -> float | None:
        return self.moments[-1][1] if self.moments else None

    @property
    def figures(self) -> list[float]:
        return [figure for _, figure in self.moments if figure is not None]


@dataclass(frozen=True, slots=True)
class Frame:
    """The time that a chart shows, in unix seconds, and the moments to mark on it: (when, class, text)."""

    begin: float
    end: float
    period: float
    marks: Sequence[tuple[float, str, str]] = ()

    def x(self, at: float) -> float:
        return (at - self.begin) / (self.end - self.begin) * WIDTH


@dataclass(frozen=True, slots=True)
class Axis:
    """What is measured: its title, how to write a figure of it, and the top where it is fixed."""

    title: str
    show: Callable[[float], str]
    ceiling: float | None = None


def chart(axis: Axis, lines: Sequence[Line], frame: Frame, *, alarm: bool = False) -> str:
    """A figure with a caption. `alarm`: an alert about it would fire."""
    top = axis.ceiling or max((figure for line in lines for figure in line.figures), default=0.0) or 1.0
    drawn = "".join(f'<path class="{line.look}" d="{path(line, frame, top)}"/>' for line in lines)
    marks = "".join(_mark(frame, *mark) for mark in frame.marks if frame.begin <= mark[0] <= frame.end)
    told = escape(in_words(axis, lines, frame))
    latest = " ".join(
        f'<span class="{line.look}">{escape(line.name)} {_shown(line.last, axis)}</span>' for line in lines
    )
    return f"""<figure class="chart{" alarm" * alarm}" tabindex="0"><figcaption><b>{escape(axis.title)}</b>
<span class="latest">{latest}</span><span class="dim">top {axis.show(top)}</span></figcaption>
<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{told}">
<g class="marks">{marks}</g>{drawn}</svg></figure>"""


def path(line: Line, frame: Frame, top: float) -> str:
    """The line as an SVG path. It breaks where there is no figure, or nothing was measured for `GAP` periods."""
    parts, before = [], None
    for at, figure in line.moments:
        if figure is None or at < frame.begin:
            before = None
            continue
        move = before is None or at - before > GAP * frame.period
        y = HEIGHT - 1 - min(1.0, figure / top) * (HEIGHT - 2)
        parts.append(f"{'M' if move else 'L'}{frame.x(at):.1f} {y:.1f}")
        before = at
    return "".join(parts)


def in_words(axis: Axis, lines: Sequence[Line], frame: Frame) -> str:
    """What a chart shows, for those who do not see it."""
    minutes = round((frame.end - frame.begin) / 60)
    said = "; ".join(f"{line.name}{_range(line, axis)}" for line in lines)
    return f"{axis.title}, last {minutes} minutes. {said}."


def _range(line: Line, axis: Axis) -> str:
    if not line.figures:
        return ": nothing measured"
    low, high = axis.show(min(line.figures)), axis.show(max(line.figures))
    return f" now {_shown(line.last, axis)}, highest {high}, lowest {low}"


def _shown(figure: float | None, axis: Axis) -> str:
    return "-" if figure is None else axis.show(figure)


def _mark(frame: Frame, at: float, look: str, text: str) -> str:
    x = f"{frame.x(at):.1f}"
    return f'<line class="{look}" x1="{x}" x2="{x}" y1="0" y2="{HEIGHT}"><title>{escape(text)}</title></line>'
