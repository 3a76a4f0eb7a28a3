"""The status page: one self-contained HTML document that renews itself, light or dark as its reader's system is.

Everything in it comes from a status document and the history, and is escaped. Nothing is fetched from elsewhere.
Addresses in it are relative, for those who see it through a proxy.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from forkful.master.admin import alarms, derived
from forkful.master.admin.alarms import Alarm
from forkful.master.admin.charts import Axis, Frame, Line, chart
from forkful.master.admin.history import PERIOD, SPAN, History, Mark, Point
from forkful.master.admin.page_assets import SCRIPT, STYLE
from forkful.master.admin.status import PoolStatus, Status, WorkerStatus
from forkful.master.model import format as as_text

_PHASES: Final = {"READY": "good", "RUNNING": "good", "STARTING": "warn", "RELOADING": "warn", "DRAINING": "dim"}
_MARKS: Final = {"generation": "good", "reload": "bad", "death": "warn"}
_REQUESTS: Final = Axis("Requests", as_text.rate)
_DURATION: Final = Axis("Duration", as_text.duration)
_SATURATION: Final = Axis("Saturation", as_text.share, ceiling=1.0)
_QUEUE: Final = Axis("Queue", as_text.number)
_MEMORY: Final = Axis("Memory", as_text.size)
SHORTEST: Final = 60.0  # seconds that a chart shows at least, of a service that has just been started
LONG: Final = 1.0  # seconds from which a lane's colour says that it is busy for long
STUCK: Final = 10.0  # and that somebody should look


def render(now: Status, history: History) -> str:
    """Make the whole page."""
    name = _text(now["name"])
    state = "ready" if now["ready"] else "not ready"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}: {state}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head>
<body><p class="bad" id="note" role="status"></p>
<main data-at="{now["at"]:.3f}">{_head(now)}{_reload(now)}{_generations(now)}{_pools(now, history)}
{_events(now, history)}{_foot(now)}</main><script>{SCRIPT}</script></body></html>
"""


def _text(said: str) -> str:
    """What others said, as text that cannot be anything else."""
    return escape(as_text.plain(said, keep="\n\t"))


def _head(now: Status) -> str:
    ready = '<b class="good">ready</b>' if now["ready"] else f'<b class="bad">not ready: {_text(now["reason"])}</b>'
    return f"""<header><h1>{_text(now["name"])}</h1>{ready}
<span>{_phase(now["phase"])}</span>
<span class="dim">generation {now["generation"]} · up {as_text.age(now["at"] - now["started_at"])} ·
master {now["pid"]} · Forkful {_text(now["version"])}</span></header>{_alarms(alarms.of_service(now))}"""


def _reload(now: Status) -> str:
    reload = now["reload"]
    if not reload["finished_at"]:
        return ""
    ago = as_text.age(now["at"] - reload["finished_at"])
    if reload["successful"]:
        return f'<p class="dim">Last reload: <span class="good">succeeded</span> {ago} ago.</p>'
    trace = f"<pre>{_text(reload['traceback'])}</pre>" if reload["traceback"] else ""
    return f"""<section class="card"><div><h2 class="bad">The last reload failed</h2>
<span class="dim">{ago} ago; generation {now["generation"]} serves on</span></div>
<p>{_text(reload["message"])}</p>{trace}</section>"""


def _generations(now: Status) -> str:
    return "".join(f'<p class="warn">{_text(line)}</p>' for line in derived.generations(now))


def _alarms(found: Iterable[Alarm]) -> str:
    rows = "".join(f'<li class="bad"><b>{each.alert}</b> {_text(each.text)}</li>' for each in found)
    return f'<ul class="alarms" role="alert">{rows}</ul>' if rows else ""


# -- pools -------------------------------------------------------------------------------------------------------------


def _pools(now: Status, history: History) -> str:
    seconds = max(1.0, now["at"] - now["started_at"])
    marks = [(mark.at, _MARKS[mark.kind], mark.text) for mark in history.marks(now["at"] - SPAN)]
    span = min(SPAN, max(now["at"] - now["started_at"], SHORTEST))
    frame = Frame(now["at"] - span, now["at"], PERIOD, marks)
    return "".join(
        _pool(pool, derived.ended(pool) / seconds, history.points(pool["name"]), frame) for pool in now["pools"]
    )


def _pool(pool: PoolStatus, mean_rate: float, points: Sequence[Point], frame: Frame) -> str:
    ready, target = derived.ready(pool), pool["target"]
    trouble = f'<p class="bad">{_text(pool["trouble"])}</p>' if pool["trouble"] else ""
    if pool["throttled_for"] > 0:
        trouble += f'<p class="warn">Starts are throttled: the next is in {as_text.age(pool["throttled_for"])}.</p>'
    listeners = "".join(f'<code class="dim">{_text(each["address"])}</code>' for each in pool["listeners"])
    how = f"{pool['threads']} thread{'s' * (pool['threads'] > 1)}"
    drops = sum(each["drops"] or 0 for each in pool["listeners"])
    failed, ended = derived.failed(pool), derived.ended(pool)
    full = "bad" if alarms.is_full(pool) and derived.waiting(pool) else ""
    found = list(alarms.of_pool(pool, points))
    figures = (
        ("workers ready", f'<span class="{"good" if ready >= target else "bad"}">{ready}/{target}</span>'),
        ("requests now", f'<span id="rate-{pool["number"]}" data-count="{ended}">…</span>'),
        ("since start", as_text.rate(mean_rate)),
        ("requests", as_text.number(ended)),
        ("failed", f'<span class="{"bad" if failed else ""}">{as_text.number(failed)}</span>'),
        *_answers(pool),
        ("lanes busy", f'<span class="{full}">{pool["lanes_busy"]}/{pool["lanes"]}</span>'),
        ("in flight", as_text.number(pool["in_flight"])),
        ("connections", as_text.number(pool["connections"])),
        ("queue", f'<span class="{full}">{as_text.number(derived.waiting(pool))}</span>'),
        ("oldest", as_text.age(pool["oldest_seconds"])),
        ("mean duration", _mean(pool, ended)),
        ("CPU", f"{pool['cpu_seconds']:,.1f} s"),
        ("deaths", f'<span class="{"warn" if derived.restarts(pool) else ""}">{derived.restarts(pool)}</span>'),
        *((("dropped", f'<span class="bad">{as_text.number(drops)}</span>'),) if drops else ()),
    )
    return f"""<section class="card{" alarm" * bool(found)}"><div><h2>{_text(pool["name"])}</h2>
<code>{_text(pool["handler"])}</code>{listeners}<span class="dim">{how}{", preload" * pool["preload"]}</span></div>
{trouble}{_alarms(found)}
<dl>{"".join(f"<div><dt>{name}</dt><dd>{figure}</dd></div>" for name, figure in figures)}</dl>
<div class="charts">{"".join(_charts(points, frame, {each.figure for each in found}))}</div>
{_workers(pool["workers"])}</section>"""


def _answers(pool: PoolStatus) -> Iterable[tuple[str, str]]:
    for code, style in (("2xx", ""), ("3xx", ""), ("4xx", ""), ("5xx", "bad")):
        count = derived.answered(pool, code)
        if count is not None:
            yield code, f'<span class="{style if count else ""}">{as_text.number(count)}</span>'


def _charts(points: Sequence[Point], frame: Frame, red: set[str]) -> Iterable[str]:
    """The small charts of one pool; those in `red` show what an alert is about."""

    def line(name: str, look: str, figure: str) -> Line:
        return Line(name, look, [(point.at, getattr(point, figure)) for point in points])

    durations = [
        Line(name, look, [(point.at, point.percentiles[number]) for point in points])
        for number, (name, look) in enumerate((("p50", "main"), ("p95", "second"), ("p99", "third")))
    ]
    requests = [line("ok", "main", "ok"), line("failed", "third", "failed")]
    yield chart(_REQUESTS, requests, frame, alarm="requests" in red)
    yield chart(_DURATION, durations, frame)
    saturation = [line("busy", "main", "saturation")]
    yield chart(_SATURATION, saturation, frame, alarm="saturation" in red)
    yield chart(_QUEUE, [line("waiting", "main", "queue")], frame, alarm="queue" in red)
    yield chart(_MEMORY, [line("resident", "main", "memory")], frame)


def _mean(pool: PoolStatus, ended: int) -> str:
    return as_text.duration(pool["duration_seconds"] / ended) if ended else "-"


# -- workers -----------------------------------------------------------------------------------------------------------

_COLUMNS: Final = ("slot", "phase", "pid", "generation", "age", "memory", "requests", "in flight")


def _workers(workers: list[WorkerStatus]) -> str:
    if not workers:
        return ""
    titles = "".join(f'<th scope="col"{" class=n" * (n > 1)}>{title}</th>' for n, title in enumerate(_COLUMNS))
    rows = "".join(map(_worker, workers))
    return f"""<div class="scroll" tabindex="0"><table><thead><tr>{titles}<th scope="col">lanes</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""


def _worker(worker: WorkerStatus) -> str:
    return f"""<tr><td>{worker["slot"]}</td><td>{_phase(worker["phase"])}</td>
<td class="n">{worker["pid"] or ""}</td><td class="n">{worker["generation"]}</td>
<td class="n">{as_text.age(worker["age"])}</td><td class="n">{as_text.size(worker["resident_bytes"])}</td>
<td class="n">{as_text.number(worker["requests"])}</td><td class="n">{worker["in_flight"]}</td>
<td>{_lanes(worker)}</td></tr>"""


def _lanes(worker: WorkerStatus) -> str:
    """A cell for each lane, coloured by how long it has been busy; an event loop is one cell with a number."""
    if worker["is_loop"]:
        return f'<ul class="lanes"><li class="loop">event loop, {worker["in_flight"]} in flight</li></ul>'
    busy = [seconds for seconds in worker["lane_seconds"] if seconds]
    longest = f", the longest for {as_text.age(max(busy))}" if busy else ""
    told = f"{len(busy)} of {worker['lanes']} lanes busy{longest}"
    cells = "".join(map(_lane, range(len(worker["lane_seconds"])), worker["lane_seconds"]))
    return f'<span class="unseen">{told}</span><ul class="lanes" aria-hidden="true">{cells}</ul>'


def _lane(number: int, seconds: float) -> str:
    if not seconds:
        return f'<li title="lane {number}: idle"></li>'
    look = "stuck" if seconds >= STUCK else "long" if seconds >= LONG else "busy"
    return f'<li class="{look}" title="lane {number}: busy for {as_text.duration(seconds)}"></li>'


def _phase(phase: str) -> str:
    return f'<span class="{_PHASES.get(phase, "bad")}">{_text(phase.lower())}</span>'


# -- what happened -----------------------------------------------------------------------------------------------------


def _events(now: Status, history: History) -> str:
    found = history.marks(now["at"] - SPAN)
    if not found:
        return ""
    rows = "".join(_event(mark, now["at"]) for mark in reversed(found))
    return f"""<section class="card"><div><h2>Last {SPAN / 60:.0f} minutes</h2></div>
<ul class="events" tabindex="0">{rows}</ul></section>"""


def _event(mark: Mark, now: float) -> str:
    said = f'<span class="{_MARKS[mark.kind]}">{_text(mark.text)}</span>'
    ago = f'<span class="dim">{as_text.age(now - mark.at)} ago</span>'
    if not mark.traceback:
        return f"<li>{ago} {said}</li>"
    return f"<li><details><summary>{ago} {said}</summary><pre>{_text(mark.traceback)}</pre></details></li>"


def _foot(now: Status) -> str:
    pages = ("metrics", "status.json", "history.json", "readyz", "livez")
    links = " · ".join(f'<a href="{page}">/{page}</a>' for page in pages)
    return f'<footer class="dim">{links} · here: {", ".join(map(_text, now["admin"]))}</footer>'
