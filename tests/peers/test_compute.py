"""The computation with real clients: whatever befalls workers and hosts, each task has its one right result."""

import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from forkful.handlers.examples.compute.client import compute
from forkful.handlers.examples.compute.jobs import Task, cut, join, result, task
from tests.conftest import Serve
from tests.kit.door import Door, host_port
from tests.kit.wait import until

Doors = Callable[[str], Door]
Json = Any  # what json.loads gives
MODULE = "forkful.handlers.examples.compute"
LONG = {
    "width": 1_000,
    "rows": 15,
    "depth": 500,
    "x": -0.1,
    "y": 0.0,
    "step": 1e-4,
}  # every point stays: 7.5 million turns


class Host:
    """A running service."""

    def __init__(self, serve: Serve, doors: Doors) -> None:
        self.door, workers = doors("tcp"), doors("unix")
        config = f"""
            [pool.jobs]
            handler = "{MODULE}:jobs"
            bind = ["{self.door.url}"]
            timeout = 0
            [pool.workers]
            handler = "{MODULE}:Worker"
            bind = ["{workers.url}"]
            workers = 2
        """
        environment = {"COMPUTE_WORKERS": str(workers.address), "COMPUTE_AT_ONCE": "4"}
        self.server = serve(binds=[self.door, workers], config=config, env=environment)

    def ask(self, *lines: Json) -> Iterator[Json]:
        """As a client of any language would: say all, and hear what comes."""
        with self.door.connect(timeout=60) as client, client.makefile("rb") as said:
            client.sendall(b"".join(json.dumps(each).encode() + b"\n" for each in lines))
            client.shutdown(socket.SHUT_WR)
            yield from map(json.loads, said)


def own(tasks: Sequence[Task]) -> list[Json]:
    """The same results, computed here."""

    return [result(each) for each in tasks]


def test_a_killed_workers_task_is_done_by_another_and_what_was_done_is_cached(serve: Serve, doors: Doors) -> None:
    host = Host(serve, doors)
    workers = host.server.workers("workers")
    heard: list[Json] = []
    for said in host.ask({"kind": "mandelbrot", "args": LONG}):
        if not heard[1:]:  # the greeting, and that it was begun
            begun = "done" in said
            for pid in workers.values() if begun else ():
                os.kill(pid, SIGKILL)
        heard.append(said)
    asked = task("mandelbrot", LONG)

    assert heard[0] == {"hello": "compute", "at_once": 4}
    assert heard[-1] == {"key": asked.key, "result": own([asked])[0]}
    assert [each["done"] for each in heard if each.get("done") == 0] == [0, 0]  # begun twice
    host.server.wait_for_workers(2, pool="workers", besides=list(workers.values()))
    job = {"job": "words", "args": {"texts": ["To be or not", "to be, that is"]}}
    assert list(host.ask(job))[-1] == {
        "job": "words",
        "result": {"to": 2, "be": 2, "or": 1, "not": 1, "that": 1, "is": 1},
    }
    host.server.usr2()
    assert [*host.ask({"kind": "mandelbrot", "args": LONG})][1:] == heard[-1:]  # at once, by another `jobs`
    metrics = host.server.metrics()
    assert metrics.sum("compute_tasks_total", kind="mandelbrot", how="computed") == 1
    assert metrics.sum("compute_tasks_total", kind="mandelbrot", how="cached") == 1
    assert metrics.sum("compute_tasks_redone_total") in (
        1,
        2,
    )  # and the other worker may have had it when it was killed

    with host.door.connect() as client, client.makefile("rb") as said:
        client.sendall(json.dumps({"kind": "pi", "args": {"samples": 10_000_000, "seed": "x"}}).encode() + b"\n")
        while b"done" not in said.readline():
            pass
    host.server.metrics_at_rest()  # it is given up, and no error
    assert host.server.metrics().sum("compute_tasks_total", kind="pi") == 0


def test_a_client_of_two_hosts_has_all_results_through_kills_and_a_reload(
    serve: Serve, doors: Doors, tmp_path: Path
) -> None:
    hosts = {host_port(each.door): each for each in (Host(serve, doors), Host(serve, doors))}
    first, second = (each.server for each in hosts.values())
    args = {"width": 300, "height": 800, "depth": 60}
    tasks = cut("mandelbrot", args)
    front, computing = second.workers("jobs"), [*second.workers("workers").values()]
    heard: list[str] = []

    def befall(host: str, said: dict[str, Json]) -> None:
        if "result" not in said:
            return
        heard.append(host)
        if len(heard) == 3:
            first.hup()
        if len(heard) in (5, 7):
            os.kill(computing.pop(), SIGKILL)
        if len(heard) == 6:
            os.kill(front[0], SIGKILL)

    results = compute(tasks, hosts, befall)

    assert [results[each.key] for each in tasks] == own(tasks)
    assert set(heard) == set(hosts)
    picture = tmp_path / "picture.png"
    flags = [part for host in hosts for part in ("--host", host)]
    words = [f"{name}={value}" for name, value in args.items()]
    command = [sys.executable, "-m", MODULE, *flags, "--out", str(picture), "mandelbrot", *words]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert picture.read_bytes() == base64.b64decode(join("mandelbrot", tasks, own(tasks)))
    assert f"{len(tasks)}/{len(tasks)}" in shown.stderr


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """Of a Dask cluster with two workers, as its documentation starts one."""
    file = tmp_path / "scheduler.json"
    shared = ["--no-dashboard", "--scheduler-file", str(file)]
    commands = [["dask_scheduler", "--host", "127.0.0.1", "--port", "0"], *[["dask_worker", "--no-nanny"]] * 2]
    programs = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{each[0]}", *each[1:], *shared], stderr=subprocess.DEVNULL
        )
        for each in commands
    ]
    until(lambda: file.exists() and file.read_text().endswith("}"), what="the scheduler's file", within=60)
    yield json.loads(file.read_text())["address"]
    for program in reversed(programs):
        program.terminate()
        assert program.wait(60) == 0


def test_dask_computes_the_same_tasks(scheduler: str, tmp_path: Path) -> None:
    args = {"width": 300, "height": 200, "depth": 60}
    picture = tmp_path / "picture.png"
    words = [f"{name}={value}" for name, value in args.items()]
    command = [sys.executable, "-m", MODULE, "--dask", scheduler, "--out", str(picture), "mandelbrot", *words]
    subprocess.run(command, timeout=60, check=True)
    tasks = cut("mandelbrot", args)

    assert picture.read_bytes() == base64.b64decode(join("mandelbrot", tasks, own(tasks)))
