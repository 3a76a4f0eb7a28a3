"""A scrape: the CPU of one GET /metrics with 64 workers, and again after a thousand have come and gone.

Can go wrong: the workers are not recycled in time: the figure is absent and says so.
"""

import re
import time
from statistics import median

from tests.bench.comparison import Rounds
from tests.bench.contenders import ECHO, forkful
from tests.bench.cores import load_core
from tests.bench.figure import Figure
from tests.bench.load import Load, send
from tests.bench.page import fetch
from tests.bench.server import Server, ServerError

WORKERS = 64
SCRAPES = 20  # per value
RECYCLED = 1000
RECYCLED_QUICKLY = 100  # where fewer rounds than these are asked for
FULL_ROUNDS = 5
RECYCLE_WITHIN = 180.0
QUIET = 0.5
TARGET_MS = 10.0
FLAT = 1.2  # "flat": no more than the noise of a shared machine


def scrape(rounds: Rounds) -> list[Figure]:
    """A fresh pool, then one whose handler has metrics of its own, before and after recycling."""
    with Server(forkful("forkful", f"{ECHO}:Once", workers=WORKERS)) as server:
        fresh = _measure(server, rounds)
    figures = [_figure(f"a scrape with {WORKERS} workers", fresh, TARGET_MS)]
    number = RECYCLED if rounds.rounds >= FULL_ROUNDS else RECYCLED_QUICKLY
    options = ("--max-requests", "1", "--preload")
    with Server(forkful("forkful", "tests.bench.apps.counted:Once", *options, workers=WORKERS)) as server:
        try:
            _recycle(server, WORKERS)  # so that before and after, workers have come, served and gone
            before = _measure(server, rounds)
            figures.append(_figure("the same, the handler having its own metrics", before))
            _recycle(server, number)
        except ServerError as error:
            return [*figures, Figure(f"after {number} recycled workers", absent=str(error))]
        after = _measure(server, rounds)
    value = median(after) / median(before)
    detail = f"{median(after):.1f} ms / {median(before):.1f}"
    return [*figures, Figure(f"after {number} recycled workers / before", value, "x", FLAT, detail=detail)]


def _figure(what: str, times: list[float], target: float | None = None) -> Figure:
    return Figure(what, median(times), "ms", target, low=min(times), high=max(times), detail="of CPU")


def _measure(server: Server, rounds: Rounds) -> list[float]:
    """Milliseconds of CPU of the whole tree per scrape, one value per round."""
    times = []
    for number in range(rounds.rounds + 1):
        before = server.cpu()
        outcome = send(
            Load("http-close", 1, 30.0, SCRAPES, options=("-p", "/metrics")), str(admin(server)), load_core()
        )
        if outcome.ok != SCRAPES:
            raise ServerError(f"{outcome.ok} of {SCRAPES} scrapes answered, {outcome.errors}:\n{server.log}")
        if number:  # the first has imports to do
            times.append((server.cpu() - before) / SCRAPES * 1e3)
    return times


def _recycle(server: Server, number: int) -> None:
    """Send requests until so many more workers have been started, and wait until nothing moves any more."""
    deadline = time.monotonic() + RECYCLE_WITHIN
    wanted = starts(server) + number
    while (started := starts(server)) < wanted:
        if time.monotonic() > deadline:
            raise ServerError(f"{wanted - started} of {number} workers were not replaced in {RECYCLE_WITHIN:.0f} s")
        send(Load("close", 16, 5.0, WORKERS), server.address, load_core())
    while not _is_quiet(server):
        if time.monotonic() > deadline:
            raise ServerError(f"workers were still being replaced after {RECYCLE_WITHIN:.0f} s")


def _is_quiet(server: Server) -> bool:
    """Whether the tree has just slept for a while: whoever had served its one request has been replaced."""
    before = server.cpu()
    time.sleep(QUIET)
    return server.cpu() - before < QUIET / 50


def starts(server: Server) -> int:
    """Workers started so far, from the page itself."""
    page = fetch(admin(server), "/metrics").body.decode()
    return int(
        sum(float(value) for value in re.findall(r"^forkful_worker_starts_total\{.*\} (\S+)$", page, re.MULTILINE))
    )


def admin(server: Server) -> str:
    """Where the admin child listens: contenders.forkful says so."""
    return str(server.directory / "admin.sock")
