"""The page: each second a point of every series, as events for browsers; alerts by rules; and `/metrics`.

Its pool has one worker, which keeps the last five minutes; a reload hands them on. A rule is a table of the file that
MONITOR_RULES names: `name`, `series` (a pattern, as for files), `above` or `below`, and for how many `seconds`.
Can go wrong: a rule that cannot be: the handler does not load, so a reload fails and says why.
"""

import asyncio
import itertools
import json
import logging
import os
import re
import time
import tomllib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

from forkful.handlers import bequeath, when_inherited
from forkful.handlers.examples.monitor.store import BOUNDS, COUNTER, GAUGE, HISTOGRAM, SET, Series, open_store

_KEPT, _SHOWN = 300, 400  # points of a series; series
_TYPES = {"/": "text/html; charset=utf-8", "/metrics": "text/plain; version=0.0.4", "/events": "text/event-stream"}
_DROPS = re.compile(rb'^forkful_datagrams_dropped_total(\{listener="[^"]*").*\} (\S+)$', re.MULTILINE)
_HERE: Final = Path(__file__).parent
log = logging.getLogger("monitor")

Message = dict[str, Any]  # Any: of ASGI
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Points = dict[str, float | None]


class Rule(NamedTuple):
    """When to alert: a rate (of counters), a 99th percentile (of timers) or a value is beyond this for so long."""

    name: str
    series: str
    above: float = float("inf")
    below: float = float("-inf")
    seconds: float = 0


_RULES = Path(os.environ.get("MONITOR_RULES") or _HERE / "rules.toml").read_text()
RULES = [Rule(**each) for each in tomllib.loads(_RULES)["alert"]]


class Watch:
    """What is seen of the store, once a second."""

    def __init__(self) -> None:
        self.history: dict[str, deque[float | None]] = {}
        self.alerts: list[dict[str, object]] = []
        self.tick: asyncio.Future[str] | None = None
        self._before: dict[Series, list[float]] = {}
        self._since: dict[tuple[Rule, str], float] = {}

    def take(self, left: bytes) -> None:
        """What the worker before this one has seen."""
        self.history.update((name, deque(kept, _KEPT)) for name, kept in json.loads(left or b"{}").items())

    def whole(self) -> str:
        return json.dumps({name: list(kept) for name, kept in self.history.items()})

    async def run(self) -> None:
        at = time.monotonic()
        while True:
            self.tick = asyncio.get_running_loop().create_future()
            await asyncio.sleep(1)
            await _note_drops()
            at, passed = time.monotonic(), time.monotonic() - at
            totals = dict(open_store().totals())
            points = {name: point for each in self._points(totals, passed) for name, point in each.items()}
            self._judge(points, at)
            for name, point in points.items():
                if name in self.history or len(self.history) < _SHOWN:
                    self.history.setdefault(name, deque(maxlen=_KEPT)).append(point)
            shown = {name: kept[-1] for name, kept in self.history.items()}
            limits = {"series": len(totals), "most": open_store().most, "shown": _SHOWN}
            self.tick.set_result(json.dumps({"points": shown, "alerts": self.alerts, "limits": limits}))

    def _points(self, totals: dict[Series, list[float]], passed: float) -> Iterator[Points]:
        for series, cells in totals.items():
            name = (series.family + series.labels).decode()
            before = self._before.get(series, [0.0] * len(cells) if self._before else None)
            if series.kind in (GAUGE, SET):
                yield {name: cells[0]}
            elif before is not None:  # else this worker begins to look, and does not know since when it grew
                grown = [now - then for now, then in zip(cells, before, strict=True)]
                yield {name: grown[0] / passed} if series.kind == COUNTER else _of_histogram(name, grown, passed)
        self._before = totals

    def _judge(self, points: Points, now: float) -> None:
        since, before = self._since, {str(each["alert"]) for each in self.alerts}
        beyond = {
            (rule, name): point
            for rule in RULES
            for name, point in points.items()
            if fnmatchcase(name, rule.series) and point is not None and (point > rule.above or point < rule.below)
        }
        self._since = {key: since.get(key, now) for key in beyond}
        self.alerts = [
            {"alert": rule.name, "series": name, "value": value, "seconds": now - self._since[rule, name]}
            for (rule, name), value in beyond.items()
            if now - self._since[rule, name] >= rule.seconds
        ]
        firing = [str(each["alert"]) for each in self.alerts]
        for rule in RULES:
            if (rule.name in firing) != (rule.name in before):
                log.warning("%s: %s", rule.name, "fires" if rule.name in firing else "is over")
            open_store().show(GAUGE, b"monitor_alerts", b'{alert="%s"}' % rule.name.encode(), firing.count(rule.name))


def _of_histogram(name: str, grown: list[float], passed: float) -> Points:
    upto = list(itertools.accumulate(grown[1:]))
    p99 = next(bound for bound, seen in zip((*BOUNDS, BOUNDS[-1]), upto, strict=True) if seen >= 0.99 * upto[-1])
    return {f"{name} p99": p99 if upto[-1] else None, f"{name} rate": upto[-1] / passed}


async def _note_drops() -> None:
    """What the kernel dropped for want of room, by address, as Forkful's own metrics say."""
    host, _, port = os.environ.get("MONITOR_ADMIN", "127.0.0.1:9464").rpartition(":")
    try:
        reader, writer = await (asyncio.open_connection(host, port) if host else asyncio.open_unix_connection(port))
    except OSError:
        return
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    for labels, dropped in _DROPS.findall(await reader.read()):
        open_store().show(COUNTER, b"monitor_kernel_drops_total", labels + b"}", float(dropped))
    writer.close()


def exposition() -> Iterator[bytes]:
    """Every series, as Prometheus reads it."""
    family = b""
    for series, cells in sorted(open_store().totals(), key=lambda each: each[0][1:3]):
        if family != series.family:
            family = series.family
            yield b"# TYPE %s %s\n" % (family, b"gauge" if series.kind == SET else series.kind)
        if series.kind != HISTOGRAM:
            yield b"%s%s %r\n" % (family, series.labels, cells[0])
            continue
        seen, labels = 0.0, series.labels[1:-1] + b"," if series.labels else b""
        for bound, count in zip((*BOUNDS, "+Inf"), cells[1:], strict=True):
            seen += count
            yield b'%s_bucket{%sle="%s"} %r\n' % (family, labels, str(bound).encode(), seen)
        yield b"%s_sum%s %r\n%s_count%s %r\n" % (family, series.labels, cells[0], family, series.labels, seen)


watch = Watch()
when_inherited(watch.take)
bequeath(lambda: watch.whole().encode())


async def page(scope: Message, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["type"] == "lifespan":
        await receive()
        watching = asyncio.create_task(watch.run())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        watching.cancel()
        await send({"type": "lifespan.shutdown.complete"})
        return
    path = scope["path"]
    head = [(b"content-type", _TYPES.get(path, "text/plain").encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200 if path in _TYPES else 404, "headers": head})
    if path == "/events":
        await _events(receive, send)
    body = (_HERE / "page.html").read_bytes() if path == "/" else b"".join(exposition()) if path == "/metrics" else b""
    await send({"type": "http.response.body", "body": body})


async def _events(receive: Receive, send: Send) -> None:
    """First what was, then each second what is, until the browser or this worker leaves."""
    event, data = "whole", watch.whole()
    await receive()  # the request itself
    gone = asyncio.ensure_future(receive())
    while not gone.done():
        body = f"event: {event}\ndata: {data}\n\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        tick = watch.tick
        assert tick is not None, "it runs since the start"
        await asyncio.wait([gone, tick], return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]  # of two types
        event, data = "now", tick.result() if tick.done() else "{}"
