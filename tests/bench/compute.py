"""The computation: a job by one worker and by two, on Forkful, on Dask and by bare processes; kills; a model.

    python -m tests.bench compute --rounds 5

Who computes takes turns, so that all meet the same noise. The bare processes have a half of the tasks each, and nobody
to ask: the speed-up that the machine gives at all. What a task costs beside its own computing is the CPU time of tasks
that have nothing to compute; from it a model says how many workers one service can feed.
Can go wrong: the machine is busy: then the bare processes have no speed-up either, and the CPU clocks' is left.
"""

import argparse
import base64
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from signal import SIGKILL
from statistics import median
from typing import NamedTuple

from forkful.handlers.examples.compute import client
from forkful.handlers.examples.compute.jobs import Json, Task, cut, join, result, task
from tests.bench import cpu
from tests.bench.monitor import serving
from tests.kit.server import Server
from tests.kit.wait import until

MODULE = "forkful.handlers.examples.compute"
WORKERS = f"@forkful-bench-{os.getpid()}"
CONFIG = f"""
[pool.jobs]
handler = "{MODULE}:jobs"
bind = ["tcp://127.0.0.1:0"]
timeout = 0
[pool.workers]
handler = "{MODULE}:Worker"
bind = ["unix:{WORKERS}"]
workers = %d
"""
_number = itertools.count(random.randrange(10**9))


class Engine(NamedTuple):
    """Who computes, with so many workers. `run(tasks)` gives the results; `pids` are its processes."""

    name: str
    workers: int
    run: Callable[[Sequence[Task]], dict[str, Json]]
    pids: Sequence[int] = ()
    prepare: Callable[[], object] = list


def equal(count: int, samples: int = 1) -> list[Task]:
    """Equal tasks that nobody has seen before; with one sample they are empty."""
    return [task("pi", {"samples": samples, "seed": str(next(_number))}) for _ in range(count)]


@contextmanager
def forkful(workers: int) -> Iterator[tuple[Engine, Server]]:
    with serving(CONFIG % workers, {"COMPUTE_WORKERS": WORKERS, "COMPUTE_AT_ONCE": "4"}) as server:
        host = server.listeners("jobs")[0].removeprefix("tcp://")
        yield Engine("Forkful", workers, lambda tasks: client.compute(tasks, [host]), [server.pid]), server


@contextmanager
def dask(workers: int) -> Iterator[Engine]:
    from forkful.handlers.examples.compute import on_dask  # noqa: PLC0415  # is not installed everywhere

    with ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory()), "scheduler.json")
        shared = ["--no-dashboard", "--scheduler-file", str(file)]
        commands = [["dask_scheduler", "--host", "127.0.0.1", "--port", "0"]]
        commands += [["dask_worker", "--no-nanny", "--nthreads", "1"]] * workers
        programs = []
        for command in commands:
            words = [sys.executable, "-m", f"distributed.cli.{command[0]}", *command[1:], *shared]
            program = stack.enter_context(subprocess.Popen(words, stderr=subprocess.DEVNULL))
            stack.callback(program.terminate)
            programs.append(program)
        until(lambda: file.exists() and file.read_text().endswith("}"), what="Dask's scheduler", within=60)
        where = json.loads(file.read_text())["address"]
        on_dask.compute(equal(workers), where, lambda _, __: None)  # they have come
        yield Engine(
            "Dask",
            workers,
            lambda tasks: on_dask.compute(tasks, where, lambda _, __: None),
            [program.pid for program in programs],
        )


def bare(workers: int) -> Engine:
    def run(tasks: Sequence[Task]) -> dict[str, Json]:
        with get_context("fork").Pool(workers) as pool:
            return dict(zip((each.key for each in tasks), pool.map(result, tasks, chunksize=1), strict=True))

    return Engine("bare processes", workers, run)


def speed_up(engines: Sequence[Engine], rounds: int, samples: int) -> None:
    """How long a job takes, by turns."""
    took: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for engine in engines:
            engine.prepare()
            tasks = equal(16, samples)
            began = time.monotonic()
            results = engine.run(tasks)
            took.setdefault((engine.name, engine.workers), []).append(time.monotonic() - began)
            assert len(results) == len(tasks)
    print(f"{'16 equal tasks, s: least (median)':36} {'1 worker':>16} {'2 workers':>16}  speed-up")
    for name in dict.fromkeys(engine.name for engine in engines):
        one, two = took[name, 1], took[name, 2]
        shown = [f"{min(each):.2f} ({median(each):.2f})" for each in (one, two)]
        print(f"{name:36} {shown[0]:>16} {shown[1]:>16} {min(one) / min(two):9.2f}", flush=True)


def overhead(engine: Engine, count: int) -> float:
    """CPU seconds for a task that has nothing to compute, of all processes but the client's."""
    engine.run(equal(count))  # what is made at first use is there
    tasks = equal(count)
    before, began = sum(map(cpu.seconds, engine.pids)), time.monotonic()
    engine.run(tasks)
    took, spent = time.monotonic() - began, sum(map(cpu.seconds, engine.pids)) - before
    print(
        f"{engine.name}: {spent / count * 1e3:.2f} ms of CPU and {took / count * 1e3:.2f} ms for an empty task",
        flush=True,
    )
    return spent / count


def shared(server: Server, engine: Engine, samples: int) -> None:
    """The speed-up by the workers' own CPU clocks, which others' work does not change: all of it, by the longest."""
    workers = list(server.workers("workers").values())
    before = [cpu.seconds(pid) for pid in workers]
    engine.run(equal(32, samples))
    spent = [cpu.seconds(pid) - then for pid, then in zip(workers, before, strict=True)]
    print(
        f"32 equal tasks by {len(spent)} workers: speed-up {sum(spent) / max(spent):.2f} by their CPU clocks",
        flush=True,
    )


def model(server: Server, engine: Engine, count: int) -> None:
    """How many workers one `jobs` can feed: its own CPU for a task is what all of them wait for."""
    (front,) = server.workers("jobs").values()
    engine.run(equal(count))
    before = cpu.seconds(front)
    engine.run(equal(count))
    alone = (cpu.seconds(front) - before) / count
    print(f"of it {alone * 1e3:.2f} ms are of the one process that gives tasks out: speed-up by workers")
    for seconds in (0.01, 0.1, 1.0):
        speeds = ", ".join(f"{n}: {min(n, (seconds + alone) / alone):.0f}" for n in (1, 2, 4, 16, 64, 256))
        print(f"  tasks of {seconds:4} s     {speeds}", flush=True)


def killed(kills: int) -> bool:
    """A worker is killed twice a second, now and then that of `jobs`; each result is compared."""
    tasks = cut("mandelbrot", {"width": 900, "height": 600})
    with forkful(2) as (engine, server):
        over = threading.Event()

        def kill() -> None:
            for number in range(kills):
                if over.wait(0.5):
                    return
                pool = "jobs" if number % 5 == 4 else "workers"
                pids = [pid for pid in server.workers(pool).values() if pid]
                if pids:
                    os.kill(random.choice(pids), SIGKILL)
                    done.append(pool)

        done: list[str] = []
        killer = threading.Thread(target=kill)
        killer.start()
        results = engine.run(tasks)
        over.set()
        killer.join()
        redone = server.metrics().sum("compute_tasks_redone_total")
    wrong = sum(results[each.key] != result(each) for each in tasks)
    print(
        f"{len(tasks)} tasks, {len(done)} kills, {done.count('jobs')} of them of jobs, {redone:.0f} tasks redone: ",
        end="",
    )
    print(f"{wrong} wrong or missing")
    return wrong == 0 and len(results) == len(tasks)


def picture(file: Path) -> None:
    """What the page shows: the client's own, in the valley of the seahorses."""
    asked = {"width": 600, "height": 300, "x": -0.7453, "y": 0.1127, "span": 0.0065, "depth": 1000}
    with forkful(2) as (engine, _):
        tasks = cut("mandelbrot", asked)
        results = engine.run(tasks)
    file.write_bytes(base64.b64decode(join("mandelbrot", tasks, [results[each.key] for each in tasks])))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench compute", description="A computation, beside Dask's.")
    parser.add_argument("--rounds", type=int, default=5, help="jobs by each (default 5)")
    parser.add_argument("--samples", type=int, default=500_000, help="of a task (default 500000, some 0.1 s)")
    parser.add_argument("--tasks", type=int, default=1000, help="empty tasks (default 1000)")
    parser.add_argument("--kills", type=int, default=40, help="at most so many workers are killed (default 40)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="only compute the picture of the page")
    asked = parser.parse_args(arguments)
    if asked.picture:
        picture(asked.picture)
        return 0
    with forkful(2) as (engine, server), dask(1) as other, dask(2) as others:

        def scale(count: int) -> None:
            server.run("scale", "workers", str(count))
            server.wait_for_workers(count, pool="workers")

        one = engine._replace(workers=1, prepare=lambda: scale(1))
        two = engine._replace(prepare=lambda: scale(2))
        if asked.rounds:
            speed_up([bare(1), bare(2), one, two, other, others], asked.rounds, asked.samples)
        two.prepare()
        shared(server, two, asked.samples)
        overhead(two, asked.tasks)
        overhead(others, asked.tasks)
        model(server, two, asked.tasks)
    return int(not killed(asked.kills))
