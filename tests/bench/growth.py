"""Growth: how costs grow with workers, threads, connections, pools, listeners, fields, bodies, requests and reloads.

Each is a section of the report with a curve for each cost. What is expected of a cost is that it stays level, or that
it is proportional at most (the memory of workers); one that is steeper fails, unless a reason stands beside it.
Can go wrong: the machine is too small for a size (descriptors): the section is absent and says so.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.bench import cpu, curve, growing
from tests.bench.comparison import Rounds
from tests.bench.contenders import ECHO, forkful
from tests.bench.cores import load_core
from tests.bench.crowd import allow
from tests.bench.curve import LEVEL, PROPORTIONAL
from tests.bench.figure import Figure
from tests.bench.hello import ASGI, WSGI
from tests.bench.load import Load, send
from tests.bench.server import Server, ServerError
from tests.bench.wrk import Wrk

CLOSE, HTTP_CLOSE = Load("close", connections=16), Load("http-close", connections=16)
KEPT, HTTP_KEPT = Load("persistent", connections=50), Load("http-persistent", connections=50)
BODY = "tests.bench.apps.body"
MICROSECONDS, MILLISECONDS, MEGABYTES = "us of CPU", "ms of CPU", "MB"
KIB = 1024.0
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
        """Up over the sizes, several times."""
        sizes = self.quick if rounds.quick else self.sizes + (self.long if rounds.long else ())
        times = min(2, self.passes) if rounds.quick else self.passes
        passes = [list(zip(*self.measure(sizes, rounds), strict=True)) for _ in range(times)]
        return [
            curve.figure(
                cost.what, (self.x, cost.unit), sizes, [each[index] for each in passes], cost.expected, cost.reason
            )
            for index, cost in enumerate(self.costs)
        ]


def _workers(sizes: Sequence[int], rounds: Rounds) -> Iterator[Values]:
    for number in sizes:
        with Server(forkful("lanes", f"{ECHO}:Once", workers=number)) as server:
            begun, lane = server.cpu() * 1e3, growing.request(server, CLOSE, rounds)
            weight = growing.memory(server)
        with Server(forkful("loops", WSGI, workers=number)) as server:
            closed, kept = (growing.request(server, load, rounds) for load in (HTTP_CLOSE, HTTP_KEPT))
        yield lane, closed, kept, begun, weight


def _threads(sizes: Sequence[int], rounds: Rounds) -> Iterator[Values]:
    for number in sizes:
        with Server(forkful("lanes", f"{ECHO}:Once", "--threads", str(number))) as server:
            begun, lane = server.cpu() * 1e3, growing.request(server, CLOSE, rounds)
            weight = growing.memory(server)
        with Server(forkful("WSGI", WSGI, "--threads", str(number))) as server:
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
            with Server(forkful(handler, handler, *room)) as server:
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
            with Server(forkful(handler, handler, *more)) as server:
                found.append(growing.request(server, load, rounds))
        yield found


def _fields(sizes: Sequence[int], rounds: Rounds) -> Iterator[Values]:
    for number in sizes:
        found = []
        for handler in (WSGI, ASGI):
            with Server(forkful(handler, handler)) as server:
                found.append(growing.saturated(server, Wrk(drawn=f"fields {number}"), rounds))
        yield found


def _bodies(sizes: Sequence[int], rounds: Rounds) -> Iterator[Values]:
    for size in sizes:
        times = max(1, min(100, 10_000_000 // max(1, size)) // (2 if rounds.quick else 1))
        found, peaks = [], []
        for handler in ("wsgi", "asgi"):
            for sent, answered in ((size, 0), (0, size)):
                with Server(forkful(handler, f"{BODY}:{handler}")) as server:
                    found.append(growing.transfer(server, sent=sent, answered=answered, times=times))
                    peaks.append(max(map(growing.peak, growing.workers(server))))
        yield *found, max(peaks)


def _requests(sizes: Sequence[int], rounds: Rounds) -> Iterator[Values]:
    """Each size is reached from the one before it; what the first thousands leave behind is no growth."""
    found: list[list[float]] = []
    for handler, load in ((WSGI, HTTP_KEPT), (f"{ECHO}:Once", CLOSE)):
        with Server(forkful(handler, handler)) as server:
            pids, done, weights = [server.pid, *growing.workers(server)], 0, []
            opened, costs = [], []
            _send(server, load, 2000 if rounds.quick else 10_000)
            for number in sizes:
                costs.append(_send(server, load, number - done))
                done = number
                weights.append(growing.own(pids))
                opened.append(growing.descriptors(pids))
        found += [[each / KIB for each in curve.beyond(weights, FLOOR)], opened, costs]
    yield from zip(*found, strict=True)


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
    weights, rest = [], []
    with Server(forkful("forkful", f"{ECHO}:Once", workers=2)) as server:
        growing.admin_cpu(server, "/reload?wait=1", "POST", times=3)
        done = 0
        for number in sizes:
            cost = growing.admin_cpu(server, "/reload?wait=1", "POST", times=number - done)
            done = number
            weights.append(growing.own([server.pid]))
            rest.append(
                (
                    growing.descriptors([server.pid]),
                    growing.scoreboard(server.pid),
                    float(len(cpu.tree(server.pid))),
                    cost,
                )
            )
    for weight, others in zip(curve.beyond(weights, FLOOR), rest, strict=True):
        yield weight / KIB, *others


PER_LANE, PER_WSGI = Cost("a request, lanes", MICROSECONDS), Cost("a request, WSGI", MICROSECONDS)
GROWTHS = (
    Growth(
        "workers",
        "1 to 64 workers at 1,000 requests a second",
        "workers",
        (1, 2, 4, 8, 16, 32, 64),
        (1, 4, 16),
        (
            Cost("a connection, lanes", MICROSECONDS),
            Cost("a connection, WSGI", MICROSECONDS),
            Cost("a request, kept, WSGI", MICROSECONDS),
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
