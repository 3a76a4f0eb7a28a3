"""The tables of `forkful status` and `forkful top`: a status document as rich draws it.

Can go wrong: nothing; what a document says is shown as text, never as markup or terminal codes.
"""

import io
from collections.abc import Mapping

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from forkful.master import status, words
from forkful.master.status import PoolStatus, Status

Rates = Mapping[str, float]  # requests per second, by pool

_STYLES = {"READY": "green", "RUNNING": "green", "STARTING": "yellow", "RELOADING": "yellow", "DRAINING": "dim"}
_ENDLESS = 200  # columns, where there is no terminal to fit into


def text(renderable: RenderableType, *, width: int = 0, color: bool = False) -> str:
    """Draw it for a file or a pipe; `width` 0: the terminal's, or what most can show."""
    out = io.StringIO()
    fitting = width or (Console().width if color else _ENDLESS)
    Console(file=out, width=fitting, force_terminal=color, no_color=not color, highlight=False).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def whole(house: Status, rates: Rates | None = None) -> RenderableType:
    """Everything: a line on the master, the pools, their troubles, the workers. Without `rates`, totals."""
    return Group(
        _head(house), *_reload(house), Text(), _pools(house, rates), *_troubles(house), Text(), _workers(house)
    )


def _head(house: Status) -> Text:
    up = words.age(house["at"] - house["started_at"])
    line = Text.assemble(
        (words.plain(house["name"]), "bold"),
        f" {words.plain(house['version'])}  ",
        _phase(house["phase"]),
        f"  generation {house['generation']}  pid {house['pid']}  up {up}  ",
        ("ready", "green") if house["ready"] else (f"not ready: {words.plain(house['reason'])}", "red"),
    )
    if house["admin"]:
        line.append(f"\nadmin {' '.join(map(words.plain, house['admin']))}", "dim")
    return line


def _reload(house: Status) -> list[Text]:
    reload = house["reload"]
    if not reload["finished_at"]:
        return []
    ago = words.age(house["at"] - reload["finished_at"])
    if reload["successful"]:
        return [Text(f"last reload succeeded {ago} ago", "dim")]
    trace = words.plain(reload["traceback"].rstrip(), keep="\n")
    return [
        Text(f"last reload FAILED {ago} ago: {words.plain(reload['message'])}", "red"),
        *([Text(trace, "dim")] if trace else []),
    ]


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.strip(), justify="right" if column.startswith(" ") else "left", overflow="fold")
    return table


def _pools(house: Status, rates: Rates | None) -> Table:
    counted = " requests" if rates is None else " requests/s"
    table = _table(
        "pool", "handler", "addresses", " ready", " threads", counted, " failed", " active", " queue", " restarts"
    )
    for pool in house["pools"]:
        ready, failed, restarts = status.ready(pool), status.failed(pool), status.restarts(pool)
        figure = words.number(status.ended(pool)) if rates is None else words.rate(rates.get(pool["name"], 0.0))
        table.add_row(
            Text(words.plain(pool["name"]), "bold"),
            Text(words.plain(pool["handler"])),
            Text("\n".join(words.plain(each["address"]) for each in pool["listeners"])),
            Text(f"{ready}/{pool['target']}", "green" if ready >= pool["target"] else "red"),
            Text(str(pool["threads"])),
            Text(figure),
            Text(words.number(failed), "red" if failed else ""),
            Text(words.number(max(pool["connections"], pool["in_flight"]))),
            Text(words.number(status.waiting(pool))),
            Text(str(restarts), "yellow" if restarts else ""),
        )
    return table


def _troubles(house: Status) -> list[Text]:
    return [Text(line, "red") for pool in house["pools"] for line in _trouble(pool)]


def _trouble(pool: PoolStatus) -> list[str]:
    lines = []
    if pool["trouble"]:
        lines.append(f"{words.plain(pool['name'])}: {words.plain(pool['trouble'])}")
    if pool["throttled_for"] > 0:
        lines.append(
            f"{words.plain(pool['name'])}: starts are throttled, the next is in {words.age(pool['throttled_for'])}"
        )
    return lines


def _workers(house: Status) -> Table:
    table = _table("worker", " pid", " generation", "phase", " age", " memory", " requests", " in flight")
    for pool in house["pools"]:
        for worker in pool["workers"]:
            table.add_row(
                Text(f"{words.plain(pool['name'])}[{worker['slot']}]"),
                Text(str(worker["pid"] or "")),
                Text(str(worker["generation"])),
                _phase(worker["phase"]),
                Text(words.age(worker["age"])),
                Text(words.size(worker["resident_bytes"])),
                Text(words.number(worker["requests"])),
                Text(str(worker["in_flight"])),
            )
    return table


def _phase(phase: str) -> Text:
    return Text(words.plain(phase), _STYLES.get(phase, "red"))
