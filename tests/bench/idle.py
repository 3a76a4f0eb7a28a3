"""Idle connections: what ten thousand of them weigh on one worker, and whether an active client among them notices.

The memory is what the whole process tree has to itself (USS), before and after; what the kernel keeps for a socket is
the same for all and not in it. The latency is of one client in short alternating slices, on two servers of one kind:
one with the crowd, one without.
Can go wrong: not enough descriptors, or clients that were turned out: the figures are absent and say so.
"""

from contextlib import ExitStack
from statistics import median

import psutil

from tests.bench import cpu
from tests.bench.comparison import Rounds
from tests.bench.contenders import forkful, uvicorn
from tests.bench.cores import load_core
from tests.bench.crowd import CrowdError, allow, idle
from tests.bench.figure import Figure, ratio
from tests.bench.hello import ASGI, WSGI
from tests.bench.load import Load
from tests.bench.server import Contender, Server

CROWD = 10_000
ROOM = ("--max-connections", str(CROWD + 1000), "--keep-alive", "600")
ALONE = Load("http-persistent", connections=1)
SLICES = 6  # per round, with and without
KIB = 1024


def idle_connections(rounds: Rounds) -> list[Figure]:
    """Memory beside uvicorn's, then latency."""
    kinds = {
        "WSGI": forkful("forkful WSGI", WSGI, *ROOM),
        "ASGI": forkful("forkful ASGI", ASGI, *ROOM),
        "uvicorn": uvicorn("uvicorn", ASGI, "--timeout-keep-alive", "600"),
    }
    try:
        allow(CROWD)
        return [*_memory(kinds, rounds), *(_latency(kind, kinds[kind], rounds) for kind in ("WSGI", "ASGI"))]
    except CrowdError as error:
        return [Figure(f"{CROWD} idle connections", absent=str(error))]


def _memory(kinds: dict[str, Contender], rounds: Rounds) -> list[Figure]:
    weights: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(min(3, rounds.rounds)):  # it hardly varies
        for kind, contender in kinds.items():
            if not contender.missing:
                weights[kind].append(_weigh(contender))
    figures = []
    for kind, values in weights.items():
        what = f"memory per idle connection, {kind}"
        if values:
            figures.append(Figure(what, median(values), "KiB", low=min(values), high=max(values)))
        else:
            figures.append(Figure(what, absent=kinds[kind].missing))
    if weights["uvicorn"]:
        for kind in ("WSGI", "ASGI"):
            found = ratio(weights[kind], weights["uvicorn"])
            figures.append(Figure(f"{kind} / uvicorn", found.value, "x", low=found.low, high=found.high))
    return figures


def _weigh(contender: Contender) -> float:
    """KiB per connection; a few hundred that came and went before have made all lasting room."""
    with Server(contender) as server:
        with idle(server.port, 300):
            pass
        before = _memory_of(server)
        with idle(server.port, CROWD):
            return (_memory_of(server) - before) / CROWD / KIB


def _memory_of(server: Server) -> int:
    total = 0
    for process in cpu.tree(server.pid):
        try:
            total += process.memory_full_info().uss
        except psutil.NoSuchProcess:
            continue
    return total


def _latency(kind: str, contender: Contender, rounds: Rounds) -> Figure:
    """Medians of slices with the crowd over medians without, per round."""
    among: list[float] = []
    alone: list[float] = []
    for _ in range(rounds.rounds):
        with ExitStack() as stack:
            crowded, empty = (stack.enter_context(Server(contender)) for _ in range(2))
            stack.enter_context(idle(crowded.port, CROWD))
            times: dict[str, list[float]] = {crowded.address: [], empty.address: []}
            for number in range(SLICES + 1):
                for server in (crowded, empty) if number % 2 else (empty, crowded):
                    outcome = ALONE.drive(server.address, rounds.seconds / 2, load_core())
                    if outcome.errors:
                        raise CrowdError(f"the active client met {outcome.errors}")
                    if number:  # the first is to warm up
                        times[server.address].append(outcome.p50)
            among.append(median(times[crowded.address]))
            alone.append(median(times[empty.address]))
    found = ratio(among, alone)
    detail = f"median {median(among):.0f} us / {median(alone):.0f}"
    what = f"latency of an active client among {CROWD} / alone, {kind}"
    return Figure(what, found.value, "x", 1.2, low=found.low, high=found.high, detail=detail)
