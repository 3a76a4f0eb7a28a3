"""The tables of `forkful status` and `forkful top`: a status document as rich draws it.

What a document says is shown as text, never as markup or terminal codes.
"""

import io
from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from forkful.conf.light import dataclass
from forkful.master.admin import status
from forkful.master.admin.status import PoolStatus, Status
from forkful.master.model import format as as_text

Rates = Mapping[str, float]  # requests per second, by pool

_STYLES = {"READY": "green", "RUNNING": "green", "STARTING": "yellow", "RELOADING": "yellow", "DRAINING": "dim"}
_ENDLESS = 200  # columns, where there is no terminal to fit into


def text(renderable: RenderableType, *, width: int = 0, color: bool = False) -> str:
    """Draw it for a file or a pipe; `width` 0: the terminal's, or what most can show."""
    out = io.StringIO()
    fitting = width or (Console().width if color else _ENDLESS)
    Console(file=out, width=fitting, force_terminal=color, no_color=not color, highlight=False).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def whole(service: Status, rates: Rates | None = None) -> RenderableType:
    """Everything: a line on the master, the pools, their troubles, the workers. Without `rates`, totals.

    With them it is for a screen of figures, where a traceback would leave no room for the rest.
    """
    reload = [*_reload(service, trace=rates is None), *_generations(service)]
    troubles = _troubles(service)
    return Group(
        _head(service),
        *reload,
        Text(),
        _Pools(service, rates),
        *([Text()] * bool(troubles)),
        *troubles,
        Text(),
        _workers(service),
    )


def _head(service: Status) -> Text:
    up = as_text.age(service["at"] - service["started_at"])
    line = Text.assemble(
        (as_text.plain(service["name"]), "bold"),
        f" {as_text.plain(service['version'])}  ",
        _phase(service["phase"]),
        f"  generation {service['generation']}  pid {service['pid']}  up {up}  ",
        ("ready", "green") if service["ready"] else (f"not ready: {as_text.plain(service['reason'])}", "red"),
    )
    if service["admin"]:
        line.append(f"\nadmin {' '.join(map(as_text.plain, service['admin']))}", "dim")
    return line


def _reload(service: Status, *, trace: bool) -> list[Text]:
    reload = service["reload"]
    if not reload["finished_at"]:
        return []
    ago = as_text.age(service["at"] - reload["finished_at"])
    if reload["successful"]:
        return [Text(f"last reload succeeded {ago} ago", "dim")]
    told = as_text.plain(reload["traceback"].rstrip(), keep="\n\t") if trace else ""
    return [
        Text(f"last reload FAILED {ago} ago: {as_text.plain(reload['message'])}", "red"),
        *([Text(told, "dim")] if told else []),
    ]


def _generations(service: Status) -> list[Text]:
    """The canaries that are compared, and what can be had back."""
    style = "yellow" if service.get("bake") else "dim"
    return [Text(as_text.plain(line), style) for line in status.generations(service)]


def _table(columns: Mapping[str, Sequence[Text]]) -> Table:
    """Cells by their column's title; with a space in front of it they are figures, and are never broken."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for title in columns:
        figures = title.startswith(" ")
        table.add_column(
            title.strip(), justify="right" if figures else "left", overflow="fold", no_wrap=figures or title == "phase"
        )
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


@dataclass(frozen=True, slots=True)
class _Pools:
    """The pools in one table where there is room for it; else in two, or on a screen of figures without the second."""

    service: Status
    rates: Rates | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        names = {"pool": [Text(as_text.plain(pool["name"]), "bold") for pool in self.service["pools"]]}
        places, figures = _places(self.service), _figures(self.service, self.rates)
        whole = _table(names | places | figures)
        if Measurement.get(console, options.update(max_width=_ENDLESS), whole).maximum <= options.max_width:
            yield whole
        else:
            yield _table(names | figures)
            if self.rates is None:
                yield from (Text(), _table(names | places))


def _places(service: Status) -> dict[str, list[Text]]:
    pools = service["pools"]
    return {
        "handler": [Text(as_text.plain(pool["handler"])) for pool in pools],
        "addresses": [Text("\n".join(as_text.plain(each["address"]) for each in pool["listeners"])) for pool in pools],
    }


def _figures(service: Status, rates: Rates | None) -> dict[str, list[Text]]:
    def served(pool: PoolStatus) -> Text:
        return Text(as_text.number(status.ended(pool)) if rates is None else as_text.rate(rates.get(pool["name"], 0.0)))

    def ready(pool: PoolStatus) -> Text:
        count = status.ready(pool)
        return Text(f"{count}/{pool['target']}", "green" if count >= pool["target"] else "red")

    def failed(pool: PoolStatus) -> Text:
        count = status.failed(pool)
        return Text(as_text.number(count), "red" if count else "")

    def deaths(pool: PoolStatus) -> Text:
        count = status.restarts(pool)
        return Text(str(count), "yellow" if count else "")

    def broken(pool: PoolStatus) -> Text:
        count = status.answered(pool, "5xx")
        return Text("" if count is None else as_text.number(count), "red" if count else "")

    pools = service["pools"]
    is_http = any(status.answered(pool, "5xx") is not None for pool in pools)
    return {
        " ready": [ready(pool) for pool in pools],
        " threads": [Text(str(pool["threads"])) for pool in pools],
        " requests" if rates is None else " requests/s": [served(pool) for pool in pools],
        " failed": [failed(pool) for pool in pools],
        **({" 5xx": [broken(pool) for pool in pools]} if is_http else {}),
        " active": [Text(as_text.number(max(pool["connections"], pool["in_flight"]))) for pool in pools],
        " queue": [Text(as_text.number(status.waiting(pool))) for pool in pools],
        " deaths": [deaths(pool) for pool in pools],
    }


def _troubles(service: Status) -> list[Text]:
    return [Text(line, "red") for pool in service["pools"] for line in _trouble(pool)]


def _trouble(pool: PoolStatus) -> list[str]:
    lines = []
    if pool["trouble"]:
        lines.append(f"{as_text.plain(pool['name'])}: {as_text.plain(pool['trouble'])}")
    if pool["throttled_for"] > 0:
        lines.append(
            f"{as_text.plain(pool['name'])}: starts are throttled, the next is in {as_text.age(pool['throttled_for'])}"
        )
    return lines


def _workers(service: Status) -> Table:
    workers = [worker for pool in service["pools"] for worker in pool["workers"]]
    names = [
        f"{as_text.plain(pool['name'])}[{worker['slot']}]" for pool in service["pools"] for worker in pool["workers"]
    ]
    return _table(
        {
            "worker": [Text(name) for name in names],
            " pid": [Text(str(worker["pid"] or "")) for worker in workers],
            " gen": [Text(str(worker["generation"])) for worker in workers],
            "phase": [_phase(worker["phase"]) for worker in workers],
            " age": [Text(as_text.age(worker["age"])) for worker in workers],
            " memory": [Text(as_text.size(worker["resident_bytes"])) for worker in workers],
            " requests": [Text(as_text.number(worker["requests"])) for worker in workers],
            " in flight": [Text(str(worker["in_flight"])) for worker in workers],
        }
    )


def _phase(phase: str) -> Text:
    return Text(as_text.plain(phase), _STYLES.get(phase, "red"))
