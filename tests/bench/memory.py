"""Memory: the proportional set size of a worker that has Django imported, smaps_rollup in proc_pid_smaps(5)."""

import importlib.util
from statistics import mean, median

import psutil

from tests.bench.comparison import Rounds, drive
from tests.bench.contenders import forkful, gunicorn
from tests.bench.figure import Figure, ratio
from tests.bench.load import Load
from tests.bench.server import Contender, Server, ServerError

WORKERS = 4
WEB = "tests.bench.apps.web"
OURS, PLAIN, PRELOADED = "forkful --preload", "Gunicorn sync", "Gunicorn sync --preload"


def memory(rounds: Rounds) -> list[Figure]:
    """Ourselves with preload, over the peer without and with."""
    missing = [name for name in ("django", "gunicorn") if importlib.util.find_spec(name) is None]
    if missing:
        return [Figure("a worker with Django imported", absent=f"no {', '.join(missing)}: pip install '.[bench]'")]
    contenders = [
        (forkful(OURS, f"{WEB}:Once", "--preload", workers=WORKERS), Load("close")),
        (gunicorn(PLAIN, f"{WEB}:application", workers=WORKERS), Load("http-close")),
        (gunicorn(PRELOADED, f"{WEB}:application", "--preload", workers=WORKERS), Load("http-close")),
    ]
    sizes: dict[str, list[float]] = {contender.name: [] for contender, _ in contenders}
    for _ in range(min(3, rounds.rounds)):  # it hardly varies
        for contender, load in contenders:
            sizes[contender.name].append(_measure(contender, load))
    return [_figure(sizes, PLAIN, 0.4), _figure(sizes, PRELOADED, 0.85)]


def _figure(sizes: dict[str, list[float]], peer: str, target: float) -> Figure:
    measured = ratio(sizes[OURS], sizes[peer])
    detail = f"{median(sizes[OURS]):.1f} MB / {median(sizes[peer]):.1f}"
    return Figure(f"preload / {peer}", measured.value, "x", target, low=measured.low, high=measured.high, detail=detail)


def _measure(contender: Contender, load: Load) -> float:
    """Megabytes per worker, after each has served for a while."""
    with Server(contender) as server:
        drive(server, load, 1.0)
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
