"""Balance: how long-lived connections spread over four workers, at once, in a trickle, and when there are few.

Every connection asks once which process it has got, and stays until all are there. The servers have all cores, as an
operator's have. Shares are pure; `picture` draws them.
Can go wrong: a connection without an answer: `CrowdError`.
"""

import socket
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from statistics import median

from tests.bench.comparison import Rounds
from tests.bench.contenders import floor, forkful, granian, uvicorn
from tests.bench.crowd import PATIENCE, CrowdError
from tests.bench.figure import Figure
from tests.bench.picture import Panel, Row, draw
from tests.bench.server import Contender, Server

WORKERS = 4
LIMIT = 1.5
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
PAUSE = 0.002  # between two connections of a trickle
PID = "tests.bench.apps.hello:pid"
OURS = "Forkful"


@dataclass(frozen=True, slots=True)
class Arrival:
    """How connections come."""

    name: str
    number: int
    at_once: bool


@dataclass(slots=True)
class Spread:
    """What came of it: each trial's connections per worker, the most loaded first, and how long it took."""

    trials: list[list[int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def worst(self) -> list[int]:
        return max(self.trials, key=peak)


ARRIVALS = (
    Arrival("400 at once", 400, at_once=True),
    Arrival("400 in a trickle", 400, at_once=False),
    Arrival("20 in a trickle", 20, at_once=False),
    Arrival("20 at once", 20, at_once=True),
)


def peak(shares: Sequence[int]) -> float:
    """The biggest share over the fair one."""
    return max(shares) * len(shares) / sum(shares)


def shares(pids: Sequence[int], workers: int = WORKERS) -> list[int]:
    """Connections per worker, the most loaded first; a worker that got none has a share too."""
    counts = sorted(Counter(pids).values(), reverse=True)
    if len(counts) > workers:
        raise CrowdError(f"{len(counts)} processes answered, there should be {workers}")
    return counts + [0] * (workers - len(counts))


def contenders() -> list[Contender]:
    plain = [
        forkful(OURS, PID, "--keep-alive", "60", workers=WORKERS),
        uvicorn("uvicorn --workers 4", PID, "--timeout-keep-alive", "60", workers=WORKERS),
        granian("Granian --workers 4", PID, workers=WORKERS, interface="asgi"),
        floor("asyncio, forked", "workers", "asyncio"),
        floor("uvloop, forked", "workers", "uvloop"),
    ]
    return [replace(contender, all_cores=True) for contender in plain]


def balance(rounds: Rounds) -> list[Figure]:
    """The biggest share of the worst round, ours with a target; the others for comparison."""
    figures, rows = [], []
    for contender in contenders():
        if contender.missing:
            figures.append(Figure(contender.name, absent=contender.missing))
            continue
        found = _measure(contender, rounds)
        target = LIMIT if contender.name == OURS else None
        figures += [_figure(contender.name, arrival, found[arrival], target) for arrival in ARRIVALS]
        rows.append(Row(contender.name, [Panel(arrival.name, found[arrival].worst) for arrival in ARRIVALS]))
    if rounds.picture is not None:
        rounds.picture.write_text(draw(rows, LIMIT))
    return figures


def _figure(name: str, arrival: Arrival, spread: Spread, target: float | None) -> Figure:
    peaks = [peak(trial) for trial in spread.trials]
    worst = "/".join(map(str, spread.worst))
    detail = f"worst {worst} in {median(spread.seconds) * 1e3:.0f} ms"
    return Figure(f"{name}, {arrival.name}", max(peaks), "x", target, low=min(peaks), high=max(peaks), detail=detail)


def _measure(contender: Contender, rounds: Rounds) -> dict[Arrival, Spread]:
    """Each trial with a server of its own: who is idle for how long decides who wakes first."""
    found = {arrival: Spread() for arrival in ARRIVALS}
    for _ in range(rounds.rounds):
        for arrival, spread in found.items():
            with Server(contender) as server:
                _settle(server)
                began = time.monotonic()
                spread.trials.append(shares(_gather(server.port, arrival)))
                spread.seconds.append(time.monotonic() - began)
    return found


def _settle(server: Server) -> None:
    """Workers may become ready one after another: wait until each has answered somebody, or a while has passed."""
    seen: set[int] = set()
    deadline = time.monotonic() + 2.0
    while len(seen) < WORKERS and time.monotonic() < deadline:
        seen |= set(_gather(server.port, Arrival("", 16, at_once=True)))


def _gather(port: int, arrival: Arrival) -> list[int]:
    """Connect them all, and learn whom each has got."""
    pids = []
    with ExitStack() as stack:
        clients = []
        for _ in range(arrival.number):
            client = stack.enter_context(socket.socket())
            client.setblocking(not arrival.at_once)
            client.settimeout(0.0 if arrival.at_once else PATIENCE)
            with suppress(BlockingIOError):
                client.connect(("127.0.0.1", port))
            clients.append(client)
            if not arrival.at_once:
                pids.append(_ask(client))
                time.sleep(PAUSE)
        if arrival.at_once:
            pids = [_ask(client) for client in clients]
    return pids


def _ask(client: socket.socket) -> int:
    client.settimeout(PATIENCE)
    client.sendall(REQUEST)
    answer = b""
    while not (answer.endswith(b"\n") and b"\r\n\r\n" in answer[:-2]):
        if not (data := client.recv(4096)):
            raise CrowdError(f"a connection got no answer but {answer!r}")
        answer += data
    return int(answer.rpartition(b"\r\n\r\n")[2])
