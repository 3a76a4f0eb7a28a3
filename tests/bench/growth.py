"""Growth: how costs grow with workers, threads, connections, pools, listeners, fields, bodies, requests and reloads.

Each is a section of the report with a curve for each cost. What is expected of a cost is that it stays level, or that
it is proportional at most (the memory of workers); one that is steeper fails, unless a reason stands beside it.
Can go wrong: the machine is too small for a size (descriptors): the section is absent and says so.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise

from tests.bench import cpu, curve, growing
from tests.bench.comparison import Rounds
from tests.bench.contenders import ECHO, forkful
from tests.bench.cores import load_core
from tests.bench.crowd import CrowdError, allow
from tests.bench.curve import LEVEL, PROPORTIONAL
from tests.bench.figure import Figure
from tests.bench.hello import ASGI, WSGI
from tests.bench.load import Load, LoadError, send
from tests.bench.server import Contender, Server, ServerError
from tests.bench.wrk import Wrk

CLOSE, HTTP_CLOSE = Load("close", connections=16), Load("http-close", connections=16)
KEPT, HTTP_KEPT = Load("persistent", connections=50), Load("http-persistent", connections=50)
BODY = "tests.bench.apps.body"
MICROSECONDS, MILLISECONDS, MEGABYTES = "us of CPU", "ms of CPU", "MB"
KIB = 1024.0
RELOAD = "/reload?wait=1"
BOOT = 400.0  # seconds
GROWN = "KiB more (up to 256 is 256)"
FLOOR = 256 * KIB  # of memory: what comes and goes by itself

Values = Sequence[float]  # one for each cost


@dataclass(frozen=True, slots=True)
class Cost:
    """A curve to be: what it is called, its unit, how it may grow, and why it grows faster where it does."""

    what: str
    unit: str
    expected: float = LEVEL
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Growth:
    """What grows, over which sizes (fewer where it is to be quick, more where there is time), and what that costs."""

    name: str
    title: str
    x: str
    sizes: tuple[int, ...]
    quick: tuple[int, ...]
    costs: tuple[Cost, ...]
    measure: Callable[[Sequence[int], Rounds], Iterator[Values]]
    long: tuple[int, ...] = ()
    passes: int = 3

    def run(self, rounds: Rounds) -> list[Figure]:
        """Up over the sizes, several times; a size that cannot be had ends the curves before it, and they say why."""
        sizes = self.quick if rounds.quick else self.sizes + (self.long if rounds.long else ())
        passes, ends = zip(*(self._pass(sizes, rounds) for _ in range(self._times(rounds))), strict=True)
        length = min(map(len, passes))
        if not length:
            return [Figure(self.title, absent=next(filter(None, ends)))]
        figures = []
        for index, cost in enumerate(self.costs):
            columns = [[values[index] for values in each[:length]] for each in passes]
            figures.append(
                curve.figure(cost.what, (self.x, cost.unit), sizes[:length], columns, cost.expected, cost.reason)
            )
        if length < len(sizes):
            figures.append(Figure(f"{sizes[length]:,} {self.x}", absent=next(filter(None, ends))))
        return figures

    def _times(self, rounds: Rounds) -> int:
        return min(2, self.passes) if rounds.quick else self.passes

    def _pass(self, sizes: Sequence[int], rounds: Rounds) -> tuple[list[Values], str]:
        """What was measured, and why no more."""
        found: list[Values] = []
        try:
            found.extend(self.measure(sizes, rounds))
        except (ServerError, LoadError, CrowdError, OSError) as error:
            return found, (str(error) or repr(error)).splitlines()[0]
        return found, ""


def _ours(handler: str, *options: str, workers: int = 1) -> Contender:
    """Ourselves, with time to start: so many workers need more than one, and a busy machine more than an idle one."""
    return replace(forkful(handler, handler, *options, "--boot-timeout", "300", workers=workers), within=BOOT)


def _workers(sizes: Sequence[int], rounds: Rounds) -> Iterator[Values]:
    for number in sizes:
        with Server(_ours(f"{ECHO}:Once", workers=number)) as server:
            begun, lane = server.cpu() * 1e3, growing.request(server, CLOSE, rounds)
            weight = growing.memory(server)
        with Server(_ours(WSGI, workers=number)) as server:
            closed, kept = (growing.request(server, load, rounds) for load in (HTTP_CLOSE, HTTP_KEPT))
        yield lane, closed, kept, begun, weight


def _threads(sizes: Sequence[int], rounds: Rounds) -> Iterator[Values]:
    for number in sizes:
        with Server(_ours(f"{ECHO}:Once", "--threads", str(number))) as server:
            begun, lane = server.cpu() * 1e3, growing.request(server, CLOSE, rounds)
            weight = growing.memory(server)
        with Server(_ours(WSGI, "--threads", str(number))) as server:
            yield lane, growing.request(server, HTTP_KEPT, rounds), begun, weight


def _connections(sizes: Sequence[int], rounds: Rounds) -> Iterator[Values]:
    allow(max(sizes))
    room = ("--max-connections", str(max(sizes) + 100), "--keep-alive", "600")
    for number in sizes:
        found = []
        for handler, mode in (
            (WSGI, "http-persistent"),
            (ASGI, "http-persistent"),
            ("tests.bench.apps.aio:Until", "persistent"),
        ):
            with Server(_ours(handler, *room)) as server:
                found.append(growing.request(server, Load(mode, connections=number), rounds))
        yield found


def _pools(sizes: Sequence[int], rounds: Rounds) -> Iterator[Values]:
    for number in sizes:
        with Server(growing.pools(number, f"{ECHO}:Once")) as server:
            begun, cost = server.cpu() * 1e3, growing.request(server, CLOSE, rounds)
            asked = [growing.admin_cpu(server, page) for page in ("/status.json", "/metrics")]
            yield cost, begun, *asked, growing.own([server.pid]) / 1e6


def _listeners(sizes: Sequence[int], rounds: Rounds) -> Iterator[Values]:
    for number in sizes:
        more = [word for index in range(1, number) for word in ("-b", f"unix://{{tmp}}/s{index}.sock")]
        found = []
        for handler, load in ((f"{ECHO}:Once", CLOSE), (WSGI, HTTP_CLOSE)):
            with Server(_ours(handler, *more)) as server:
                found.append(growing.request(server, load, rounds))
        yield found


def _fields(sizes: Sequence[int], rounds: Rounds) -> Iterator[Values]:
    for number in sizes:
        found = []
        for handler in (WSGI, ASGI):
            with Server(_ours(handler)) as server:
                found.append(growing.saturated(server, Wrk(drawn=f"fields {number}"), rounds))
        yield found


def _bodies(sizes: Sequence[int], rounds: Rounds) -> Iterator[Values]:
    for size in sizes:
        times = max(1, min(100, 10_000_000 // max(1, size)) // (2 if rounds.quick else 1))
        found, peaks = [], []
        for handler in ("wsgi", "asgi"):
            for sent, answered in ((size, 0), (0, size)):
                with Server(_ours(f"{BODY}:{handler}")) as server:
                    found.append(growing.transfer(server, sent=sent, answered=answered, times=times))
                    peaks.append(max(map(growing.peak, growing.workers(server))))
        yield *found, max(peaks)


def _requests(sizes: Sequence[int], rounds: Rounds) -> Iterator[Values]:
    """Each size is reached from the one before it; what the first thousands leave behind is no growth."""
    with ExitStack() as stack:
        runs = []
        for handler, load in ((WSGI, HTTP_KEPT), (f"{ECHO}:Once", CLOSE)):
            server = stack.enter_context(Server(_ours(handler)))
            _send(server, load, 2000 if rounds.quick else 10_000)
            runs.append((server, load, [server.pid, *growing.workers(server)], list[float]()))
        for done, number in pairwise((0, *sizes)):
            found: list[float] = []
            for server, load, pids, weights in runs:
                cost = _send(server, load, number - done)
                weights.append(growing.own(pids))
                found += [curve.beyond(weights, FLOOR)[-1] / KIB, growing.descriptors(pids), cost]
            yield found


def _send(server: Server, load: Load, requests: int) -> float:
    """Microseconds of CPU for each of so many, one after the other."""
    before = server.cpu()
    outcome = send(
        Load(load.mode, load.connections, seconds=3600.0, requests=requests, timeout=30.0), server.address, load_core()
    )
    if outcome.errors:
        raise ServerError(f"{outcome.errors}:\n{server.tail}")
    return (server.cpu() - before) * 1e6 / requests


def _reloads(sizes: Sequence[int], _rounds: Rounds) -> Iterator[Values]:
    weights = []
    with Server(_ours(f"{ECHO}:Once", workers=2)) as server:
        growing.admin_cpu(server, RELOAD, "POST", times=3)
        for done, number in pairwise((0, *sizes)):
            cost = growing.admin_cpu(server, RELOAD, "POST", times=number - done)
            weights.append(growing.own([server.pid]))
            processes = float(len(cpu.tree(server.pid)))
            held = growing.descriptors([server.pid]), growing.scoreboard(server.pid), processes
            yield curve.beyond(weights, FLOOR)[-1] / KIB, *held, cost


HERD = (
    "a new connection wakes idle loops that come too late for it (1.0 wake-ups for each with 1 worker, 2.2 with 16); "
    "lanes block in accept(2), which wakes one"
)
ALONE = (
    "one busy loop finds several requests when it wakes, sixteen one each (0.2 wake-ups for a request, 0.9); "
    "more than one is not possible"
)
GROWTHS = (
    Growth(
        "workers",
        "1 to 64 workers at 1,000 requests a second",
        "workers",
        (1, 2, 4, 8, 16, 32, 64),
        (1, 4, 16),
        (
            Cost("a connection, lanes", MICROSECONDS),
            Cost("a connection, WSGI", MICROSECONDS, reason=HERD),
            Cost("a request, kept, WSGI", MICROSECONDS, reason=ALONE),
            Cost("the start", MILLISECONDS, PROPORTIONAL),
            Cost("memory of all", MEGABYTES, PROPORTIONAL),
        ),
        _workers,
    ),
    Growth(
        "threads",
        "1 to 1,000 threads at 1,000 requests a second",
        "threads",
        (1, 4, 16, 64, 250, 1000),
        (1, 16, 250),
        (
            Cost("a connection, lanes", MICROSECONDS),
            Cost("a request, kept, WSGI", MICROSECONDS),
            Cost("the start", MILLISECONDS, PROPORTIONAL),
            Cost("memory", MEGABYTES, PROPORTIONAL),
        ),
        _threads,
    ),
    Growth(
        "connections",
        "10 to 10,000 connections, each of which asks in turn",
        "connections",
        (10, 100, 1000, 3000, 10_000),
        (10, 100, 1000),
        tuple(Cost(f"a request, {what}", MICROSECONDS) for what in ("WSGI", "ASGI", "asyncio.Protocol")),
        _connections,
    ),
    Growth(
        "pools",
        "1 to 64 pools, one of which is asked",
        "pools",
        (1, 2, 4, 8, 16, 32, 64),
        (1, 4, 16),
        (
            Cost("a connection", MICROSECONDS),
            Cost("the start", MILLISECONDS, PROPORTIONAL),
            Cost("status.json", MILLISECONDS, PROPORTIONAL),
            Cost("a scrape", MILLISECONDS, PROPORTIONAL),
            Cost("memory of the master", MEGABYTES, PROPORTIONAL),
        ),
        _pools,
    ),
    Growth(
        "listeners",
        "1 to 16 addresses of a pool, one of which is asked",
        "addresses",
        (1, 2, 4, 8, 16),
        (1, 4, 16),
        (Cost("a connection, lanes", MICROSECONDS), Cost("a connection, WSGI", MICROSECONDS)),
        _listeners,
    ),
    Growth(
        "fields",
        "1 to 100 header fields, each with a value of its own",
        "fields",
        (1, 3, 10, 30, 100),
        (1, 10, 100),
        tuple(Cost(f"a request, {what}", MICROSECONDS, PROPORTIONAL) for what in ("WSGI", "ASGI")),
        _fields,
    ),
    Growth(
        "bodies",
        "Bodies of 0 to 100 MB, sent and answered",
        "bytes",
        (0, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000),
        (0, 1000, 100_000, 10_000_000),
        (
            *(
                Cost(f"{what}, {how}", MILLISECONDS, PROPORTIONAL)
                for how in ("WSGI", "ASGI")
                for what in ("sent", "answered")
            ),
            Cost("the worker at its peak", MEGABYTES),
        ),
        _bodies,
        passes=2,
    ),
    Growth(
        "requests",
        "10 to 1,000,000 requests in a row (10,000,000 with --long)",
        "requests",
        (10, 100, 1000, 10_000, 100_000, 1_000_000),
        (10, 100, 1000, 10_000),
        tuple(
            Cost(f"{what}, {kind}", unit)
            for kind in ("WSGI, kept", "lane, closed")
            for what, unit in (("memory", GROWN), ("descriptors", "open"), ("a request", MICROSECONDS))
        ),
        _requests,
        long=(10_000_000,),
        passes=1,
    ),
    Growth(
        "reloads",
        "1 to 1,000 reloads in a row",
        "reloads",
        (1, 10, 100, 300, 1000),
        (1, 3, 10),
        (
            Cost("memory of the master", GROWN),
            Cost("descriptors of the master", "open"),
            Cost("the scoreboard", "KB"),
            Cost("processes", "of the service"),
            Cost("a reload", MILLISECONDS),
        ),
        _reloads,
        passes=1,
    ),
)
