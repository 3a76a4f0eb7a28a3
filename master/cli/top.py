"""`forkful top`: the status table and the last fifteen minutes, drawn again each second.

Can go wrong: the service goes away: the last figures stay, with what is wrong above them, until it is back.
"""

import contextlib
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.text import Text

from forkful.conf.light import dataclass
from forkful.master.admin import derived
from forkful.master.admin.status import Status
from forkful.master.cli import tables
from forkful.master.cli.client import Client, ClientError
from forkful.master.cli.commands import Outcome, fetch, fetch_history
from forkful.master.cli.sparklines import trends

_PERIOD = 1.0
_LEAVE = frozenset({"q", "Q", "\x03", "\x04", ""})  # ^C, ^D; "": the terminal is gone


class Keys(Protocol):
    """Where keys come from: `leave` waits for so many seconds, and says whether one was to leave."""

    def leave(self, seconds: float) -> bool: ...


class _Terminal:
    def leave(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([sys.stdin], [], [], left)[0] and sys.stdin.read(1) in _LEAVE:
                return True
        return False


class _NoTerminal:
    def leave(self, seconds: float) -> bool:
        time.sleep(seconds)
        return False


def top(client: Client, keys: Keys | None = None) -> Outcome:
    """Draw until q or ^C."""
    try:
        service = fetch(client)
        drawn = drawing(service, {}, client)
    except ClientError as problem:
        return Outcome(str(problem), 1)
    with contextlib.suppress(KeyboardInterrupt), _raw() as terminal, Live(screen=sys.stdout.isatty()) as live:
        while True:
            live.update(Group(_hint(), drawn), refresh=True)
            if (keys or terminal).leave(_PERIOD):
                break
            try:
                before, service = service, fetch(client)
                drawn = drawing(service, rates(before, service), client)
            except ClientError as problem:
                drawn = _stale(problem, service)
    return Outcome("")


def drawing(service: Status, rates: dict[str, float], client: Client) -> RenderableType:
    """The table, and below it the last fifteen minutes."""
    return Group(_Drawn(tables.whole(service, rates)), Text(), trends(fetch_history(client)))


def rates(before: Status, now: Status) -> dict[str, float]:
    """Requests per second between two documents, by pool; a pool that is new, or began anew, has none yet."""
    seconds = now["at"] - before["at"]
    counts = {pool["name"]: derived.ended(pool) for pool in before["pools"]}
    return {
        pool["name"]: max(0, derived.ended(pool) - counts[pool["name"]]) / seconds
        for pool in now["pools"]
        if pool["name"] in counts and seconds > 0
    }


def _hint() -> Text:
    return Text("forkful top, q leaves", "dim")


def _stale(problem: ClientError, service: Status) -> RenderableType:
    return Group(Text(str(problem), "red"), _Drawn(tables.whole(service)))


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The tables, on the screen that moves."""

    drawing: tables.Drawing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        for line in self.drawing(options.max_width):
            yield Text.assemble(*line)


@contextlib.contextmanager
def _raw() -> Iterator[Keys]:
    """Single keys, as they are pressed, where there is a terminal to press them on."""
    if not sys.stdin.isatty():
        yield _NoTerminal()
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield _Terminal()
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
