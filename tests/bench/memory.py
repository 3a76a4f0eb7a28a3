"""Memory: the proportional set size of a worker that answers with Django, smaps_rollup in proc_pid_smaps(5)."""

import importlib.util
from dataclasses import replace
from statistics import mean, median

import psutil

from tests.bench.comparison import Rounds
from tests.bench.contenders import floor, forkful, gunicorn
from tests.bench.cores import load_core
from tests.bench.figure import Figure, halves, ratio
from tests.bench.load import Load, send
from tests.bench.server import Contender, Server, ServerError

WORKERS = 4
REQUESTS = 4000  # by count, since what a worker shares shrinks with what it does
PATIENCE = 240.0  # seconds, on a busy machine
WEB = "tests.bench.apps.web"
MANY = 10_000  # requests, and a worker that has answered four fifths of its part collects: see apps/web.py
COLLECT = {"BENCH_COLLECT_AFTER": str(MANY // WORKERS * 4 // 5)}
GOAL = 0.75
WSGI = "forkful --preload, WSGI"
OURS, PLAIN, PRELOADED = "forkful --preload", "Gunicorn sync", "Gunicorn sync --preload"
FLOOR = "a bare fork"
Sizes = dict[str, list[float]]


def memory(rounds: Rounds) -> list[Figure]:
    """Ourselves with preload, over the peer without and with; then after many requests and a full collection."""
    missing = [name for name in ("django", "gunicorn") if importlib.util.find_spec(name) is None]
    if missing:
        return [Figure("a worker with Django imported", absent=f"no {', '.join(missing)}: pip install '.[bench]'")]
    contenders = {
        OURS: (
            forkful(OURS, f"{WEB}:Once", "--preload", workers=WORKERS),
            Load("close", requests=REQUESTS, seconds=PATIENCE),
        ),
        WSGI: (
            forkful(WSGI, f"{WEB}:application", "--preload", "--interface", "wsgi", workers=WORKERS),
            Load("http-close", requests=REQUESTS, seconds=PATIENCE),
        ),
        PLAIN: (
            gunicorn(PLAIN, f"{WEB}:application", workers=WORKERS),
            Load("http-close", requests=REQUESTS, seconds=PATIENCE),
        ),
        PRELOADED: (
            gunicorn(PRELOADED, f"{WEB}:application", "--preload", workers=WORKERS),
            Load("http-close", requests=REQUESTS, seconds=PATIENCE),
        ),
        FLOOR: (
            floor(FLOOR, "forked", f"{WEB}:Once", str(WORKERS)),
            Load("close", requests=REQUESTS, seconds=PATIENCE),
        ),
    }
    sizes: Sizes = {name: [] for name in contenders}
    collected: Sizes = {name: [] for name in (OURS, WSGI, PRELOADED)}
    for _ in range(min(3, rounds.rounds)):  # it hardly varies
        for name, (contender, load) in contenders.items():
            sizes[name].append(_measure(contender, load))
        for name, values in collected.items():
            contender, load = contenders[name]
            values.append(_measure(replace(contender, environment=COLLECT), replace(load, requests=MANY)))
    after = f"after {MANY:,} requests and a full collection"
    return [
        _figure(f"preload / {PLAIN}", sizes, (OURS, PLAIN), 0.4),
        _figure(f"preload / {PRELOADED}", sizes, (OURS, PRELOADED), GOAL),
        _figure(f"the same {after}", collected, (OURS, PRELOADED), GOAL),
        _figure(f"WSGI, preload / {PRELOADED}", sizes, (WSGI, PRELOADED), GOAL),
        _figure(f"the same {after}", collected, (WSGI, PRELOADED), GOAL),
        _figure(f"for comparison: {FLOOR}, no server at all / {PRELOADED}", sizes, (FLOOR, PRELOADED)),
    ]


def _figure(what: str, sizes: Sizes, pair: tuple[str, str], target: float | None = None) -> Figure:
    ours, theirs = (sizes[name] for name in pair)
    measured = ratio(ours, theirs)
    detail = f"{median(ours):.1f} MB / {median(theirs):.1f}"
    found = Figure(what, measured.value, "x", target, low=measured.low, high=measured.high, detail=detail)
    return replace(found, control=halves(ours))


def _measure(contender: Contender, load: Load) -> float:
    """Megabytes per worker, after each has served for a while."""
    with Server(contender) as server:
        answered = send(load, server.address, load_core()).ok
        if answered < load.requests:  # a worker that has answered less shares more
            raise ServerError(f"{contender.name} answered {answered} of {load.requests} in {load.seconds:.0f} s")
        workers = [child for child in psutil.Process(server.pid).children(recursive=True) if ": worker" in title(child)]
        if len(workers) != WORKERS:
            raise ServerError(f"{contender.name} has {len(workers)} workers instead of {WORKERS}:\n{server.log}")
        return mean(worker.memory_full_info().pss for worker in workers) / 1e6


def title(process: psutil.Process) -> str:
    """What `ps` shows; nothing for the dead."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
