"""Slow clients: 200 that send a byte per second each, and what another client notices of them.

One server, quiet and slow slices in turn: quiet, slow, quiet. In the quiet ones the slow clients send to nobody, and
so disturb the load's core all the time. What two quiet neighbours differ by is what this machine calls nothing, so it
stands beside what the slow one differs by.
Can go wrong: nothing is answered among the slow: the figure has the faults.
"""

from dataclasses import dataclass, field
from statistics import quantiles

from tests.bench.comparison import Rounds
from tests.bench.contenders import forkful, gunicorn
from tests.bench.cores import load_core
from tests.bench.crowd import Slow, sink
from tests.bench.figure import Figure
from tests.bench.hello import ASGI, WSGI
from tests.bench.load import Load, Outcome
from tests.bench.server import Contender, Server

CLIENTS = 200
NOTHING = 1.05
SETTLE = 0.3
OTHERS = Load("http-persistent", connections=10, timeout=2.0)


@dataclass(slots=True)
class Differences:
    """Slow over quiet, and quiet over quiet: of latency's median and of requests in the slice."""

    latency: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    quiet_rate: list[float] = field(default_factory=list)
    faults: str = ""


def slow(rounds: Rounds) -> list[Figure]:
    """Ours by the ways an application is called; the peer's threads are held by whoever sends slowly."""
    figures = []
    for what, contender in (
        ("WSGI inline", forkful("forkful", WSGI)),
        ("WSGI, threads = 4", forkful("forkful threads", WSGI, "--threads", "4")),
        ("ASGI", forkful("forkful ASGI", ASGI)),
    ):
        found = _measure(contender, rounds)
        figures.append(_figure(f"latency among slow clients, {what}", found.latency, found.quiet, found.faults))
        figures.append(_figure(f"time per request among them, {what}", found.rate, found.quiet_rate, found.faults))
    return [*figures, _peer(rounds)]


def _figure(what: str, slow: list[float], quiet: list[float], faults: str) -> Figure:
    low, value, high = quantiles(slow, n=4)
    usual = quantiles(quiet, n=4)
    detail = f"quiet / quiet {usual[1]:.2f} ({usual[0]:.2f} .. {usual[2]:.2f})"
    return Figure(what, value, "x", NOTHING, low=low, high=high, detail=detail, faults=faults)


def _measure(contender: Contender, rounds: Rounds) -> Differences:
    found = Differences()
    faults: dict[str, int] = {}
    for _ in range(rounds.rounds):
        with Server(contender) as server, sink() as nobody:
            for _ in range(rounds.slices):
                before = _among(server, nobody, rounds.seconds)
                among = _among(server, server.port, rounds.seconds)
                after = _among(server, nobody, rounds.seconds)
                found.latency.append(2 * among.p50 / (before.p50 + after.p50))
                found.rate.append((before.rate + after.rate) / 2 / max(1.0, among.rate))
                found.quiet.append(after.p50 / before.p50)
                found.quiet_rate.append(before.rate / after.rate)
                for name, count in among.errors.items():
                    faults[name] = faults.get(name, 0) + count
    found.faults = ", ".join(f"{count} {name}" for name, count in sorted(faults.items()))
    return found


def _among(server: Server, port: int, seconds: float) -> Outcome:
    """What others get while there are slow clients at this port."""
    with Slow(port, CLIENTS):
        _slice(server, SETTLE)
        return _slice(server, seconds)


def _slice(server: Server, seconds: float) -> Outcome:
    return OTHERS.drive(server.address, seconds, load_core())


def _peer(rounds: Rounds) -> Figure:
    """What is answered among slow clients by the peer's four threads, as a share of what is answered without them."""
    contender = gunicorn("gunicorn", WSGI, "-k", "gthread", "--threads", "4")
    what = "Gunicorn gthread, 4 threads: answered among them"
    if contender.missing:
        return Figure(what, absent=contender.missing)
    with Server(contender) as server:
        quiet = _slice(server, rounds.seconds)
        among = _among(server, server.port, rounds.seconds)
    errors = ", ".join(f"{count} {name}" for name, count in among.errors.items())
    return Figure(what, 100 * among.rate / quiet.rate, "%", detail=errors)
