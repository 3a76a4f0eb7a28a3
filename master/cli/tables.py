"""The tables of `forkful status` and `forkful top`: a status document as lines of text.

What a document says is shown as text, never as markup or terminal codes.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from forkful.master.admin import derived
from forkful.master.cli.grid import Line, Span, Table, drawn, line
from forkful.master.model import format as as_text

if TYPE_CHECKING:
    from forkful.master.admin.status import PoolStatus, Status

Drawing = Callable[[int], Iterator[Line]]  # the lines, for a screen of so many columns
Rates = Mapping[str, float]  # requests per second, by pool

_STYLES = {"READY": "green", "RUNNING": "green", "STARTING": "yellow", "RELOADING": "yellow", "DRAINING": "dim"}
_ENDLESS = 200  # columns, where there is no terminal to fit into


def text(drawing: Drawing, *, width: int = 0, color: bool = False) -> str:
    """Draw it for a file or a pipe; `width` 0: the terminal's, or what most can show."""
    fitting = width or (shutil.get_terminal_size().columns if color else _ENDLESS)
    return drawn(drawing(fitting), color=color)


def whole(service: "Status", rates: Rates | None = None) -> Drawing:
    """Everything: a line on the master, the pools, their troubles, the workers. Without `rates`, totals.

    With them it is for a screen of figures, where a traceback would leave no room for the rest.
    """

    def lines(width: int) -> Iterator[Line]:
        yield from _head(service)
        yield from _reload(service, trace=rates is None)
        yield from _generations(service)
        yield []
        yield from _pools(service, rates, width)
        if troubles := _troubles(service):
            yield from ([], *troubles)
        yield []
        yield from _workers(service).lines(width)

    return lines


def _head(service: "Status") -> Iterator[Line]:
    up = as_text.age(service["at"] - service["started_at"])
    yield line(
        (as_text.plain(service["name"]), "bold"),
        f" {as_text.plain(service['version'])}  ",
        _phase(service["phase"]),
        f"  generation {service['generation']}  pid {service['pid']}  up {up}  ",
        ("ready", "green") if service["ready"] else (f"not ready: {as_text.plain(service['reason'])}", "red"),
    )
    if service["admin"]:
        yield line((f"admin {' '.join(map(as_text.plain, service['admin']))}", "dim"))


def _reload(service: "Status", *, trace: bool) -> list[Line]:
    reload = service["reload"]
    if not reload["finished_at"]:
        return []
    ago = as_text.age(service["at"] - reload["finished_at"])
    if reload["successful"]:
        return [line((f"last reload succeeded {ago} ago", "dim"))]
    told = as_text.plain(reload["traceback"].rstrip(), keep="\n\t") if trace else ""
    return [
        line((f"last reload FAILED {ago} ago: {as_text.plain(reload['message'])}", "red")),
        *([line((told, "dim"))] if told else []),
    ]


def _generations(service: "Status") -> list[Line]:
    """The canaries that are compared, and what can be had back."""
    style = "yellow" if service.get("bake") else "dim"
    return [line((as_text.plain(each), style)) for each in derived.generations(service)]


def _pools(service: "Status", rates: Rates | None, width: int) -> Iterator[Line]:
    """The pools in one table where there is room for it; else in two, or on a screen of figures without the second."""
    names = {"pool": [Span(as_text.plain(pool["name"]), "bold") for pool in service["pools"]]}
    places, counts = _places(service), _figures(service, rates)
    everything = Table(names | places | counts)
    if everything.width <= width:
        yield from everything.lines(width)
        return
    yield from Table(names | counts).lines(width)
    if rates is None:
        yield []
        yield from Table(names | places).lines(width)


def _places(service: "Status") -> dict[str, list[Span]]:
    pools = service["pools"]
    return {
        "handler": [Span(as_text.plain(pool["handler"])) for pool in pools],
        "addresses": [Span("\n".join(as_text.plain(each["address"]) for each in pool["listeners"])) for pool in pools],
    }


def _figures(service: "Status", rates: Rates | None) -> dict[str, list[Span]]:
    def served(pool: "PoolStatus") -> Span:
        if rates is None:
            return Span(as_text.number(derived.ended(pool)))
        return Span(as_text.rate(rates.get(pool["name"], 0.0)))

    def ready(pool: "PoolStatus") -> Span:
        count = derived.ready(pool)
        return Span(f"{count}/{pool['target']}", "green" if count >= pool["target"] else "red")

    def failed(pool: "PoolStatus") -> Span:
        count = derived.failed(pool)
        return Span(as_text.number(count), "red" if count else "")

    def deaths(pool: "PoolStatus") -> Span:
        count = derived.restarts(pool)
        return Span(str(count), "yellow" if count else "")

    def broken(pool: "PoolStatus") -> Span:
        count = derived.answered(pool, "5xx")
        return Span("" if count is None else as_text.number(count), "red" if count else "")

    pools = service["pools"]
    is_http = any(derived.answered(pool, "5xx") is not None for pool in pools)
    return {
        " ready": [ready(pool) for pool in pools],
        " threads": [Span(str(pool["threads"])) for pool in pools],
        " requests" if rates is None else " requests/s": [served(pool) for pool in pools],
        " failed": [failed(pool) for pool in pools],
        **({" 5xx": [broken(pool) for pool in pools]} if is_http else {}),
        " active": [Span(as_text.number(max(pool["connections"], pool["in_flight"]))) for pool in pools],
        " queue": [Span(as_text.number(derived.waiting(pool))) for pool in pools],
        " deaths": [deaths(pool) for pool in pools],
    }


def _troubles(service: "Status") -> list[Line]:
    return [line((each, "red")) for pool in service["pools"] for each in _trouble(pool)]


def _trouble(pool: "PoolStatus") -> list[str]:
    lines = []
    if pool["trouble"]:
        lines.append(f"{as_text.plain(pool['name'])}: {as_text.plain(pool['trouble'])}")
    if pool["throttled_for"] > 0:
        lines.append(
            f"{as_text.plain(pool['name'])}: starts are throttled, the next is in {as_text.age(pool['throttled_for'])}"
        )
    return lines


def _workers(service: "Status") -> Table:
    workers = [worker for pool in service["pools"] for worker in pool["workers"]]
    names = [
        f"{as_text.plain(pool['name'])}[{worker['slot']}]" for pool in service["pools"] for worker in pool["workers"]
    ]
    return Table(
        {
            "worker": [Span(name) for name in names],
            " pid": [Span(str(worker["pid"] or "")) for worker in workers],
            " gen": [Span(str(worker["generation"])) for worker in workers],
            "phase": [_phase(worker["phase"]) for worker in workers],
            " age": [Span(as_text.age(worker["age"])) for worker in workers],
            " memory": [Span(as_text.size(worker["resident_bytes"])) for worker in workers],
            " requests": [Span(as_text.number(worker["requests"])) for worker in workers],
            " in flight": [Span(str(worker["in_flight"])) for worker in workers],
        },
        whole=("phase",),
    )


def _phase(phase: str) -> Span:
    return Span(as_text.plain(phase), _STYLES.get(phase, "red"))
