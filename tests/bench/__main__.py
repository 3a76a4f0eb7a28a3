"""The command line: `python -m tests.bench [NAME ...]` measures and prints the table; `chaos` and the like run by name.

Leaves with 1 where a figure misses its target, so that a shell can ask; no test does.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench import (
    abuse,
    aio,
    applications,
    balance,
    before,
    canary,
    chaos,
    defer,
    deploys,
    files,
    flows,
    fuzz,
    hello,
    hostile,
    idle,
    migrations,
    monitor,
    monitor_picture,
    pictures,
    save,
    secure,
    site,
    slow,
    speed,
    table,
)
from tests.bench.comparison import Rounds
from tests.bench.cores import load_core, server_core
from tests.bench.figure import Figure, Verdict
from tests.bench.loss import loss
from tests.bench.memory import memory
from tests.bench.replacement import replacement
from tests.bench.scrape import scrape
from tests.bench.start import start


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A section of the table."""

    name: str
    title: str
    run: Callable[[Rounds], list[Figure]]


BENCHMARKS = (
    Benchmark("tcp", "TCP echo of 64 bytes, one connection per request", speed.tcp),
    Benchmark("persistent", "TCP echo of 64 bytes over 50 persistent connections", speed.persistent),
    Benchmark("udp", "UDP echo of 64 bytes", speed.udp),
    Benchmark("aio", "TCP echo on an event loop, 50 persistent connections", aio.aio),
    Benchmark("http", "WSGI hello, keep-alive, 50 connections", hello.kept),
    Benchmark("balancer", "Hello behind a balancer: every request another client's", hello.balancer),
    Benchmark("browser", "WSGI hello with a browser's header fields", hello.browser),
    Benchmark("close", "WSGI hello, one connection per request", hello.closing),
    Benchmark("threads", "WSGI hello in four threads", hello.threads),
    Benchmark("asgi", "ASGI hello", hello.asgi),
    Benchmark("tls", "TLS: handshakes, and bodies of 1 MB", secure.secure),
    Benchmark("files", "Files of 1 KB, 100 KB and 100 MB", files.files),
    Benchmark("idle", "10,000 idle HTTP connections on one worker", idle.idle_connections),
    Benchmark(
        "defer", "defer_accept: clients that speak first, that wait to be greeted, that say nothing", defer.defer
    ),
    Benchmark("slow", "200 slow HTTP clients of one worker", slow.slow),
    Benchmark("balance", "Long-lived connections over 4 workers: the biggest share", balance.balance),
    Benchmark("loss", "UDP under more than its queue can hold", loss),
    Benchmark("scrape", "A scrape of /metrics", scrape),
    Benchmark("replacement", "A worker killed, its handler's import takes 1 s", replacement),
    Benchmark("start", "From the command to the first answer, nothing to import", start),
    Benchmark("save", "A file saved to the first answer of the new code, an application of three lines", save.save),
    Benchmark("memory", "Memory of a worker with Django imported (PSS, 4 workers)", memory),
)

#: Programs with options of their own, run by name and never as part of the table: `name: main(arguments) -> exit code`.
PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    "abuse": abuse.main,
    "applications": applications.main,
    "before": before.main,
    "chaos": chaos.main,
    "deploys": deploys.main,
    "flows": flows.main,
    "fuzz": fuzz.main,
    "hostile": hostile.main,
    "canary": canary.main,
    "migrations": migrations.main,
    "monitor": monitor.main,
    "monitor-picture": monitor_picture.main,
    "pictures": pictures.main,
    "site": site.main,
}


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] in PROGRAMS:
        return PROGRAMS[arguments[0]](arguments[1:])
    asked = _parser().parse_args(arguments)
    unknown = set(asked.names) - {benchmark.name for benchmark in BENCHMARKS}
    if unknown:
        print(f"bench: no benchmark {', '.join(sorted(unknown))}; there are {_names()}", file=sys.stderr)
        return 2
    rounds = Rounds(asked.rounds or 3, slices=2, seconds=0.25) if asked.quick else Rounds(asked.rounds or 5)
    rounds = replace(rounds, picture=asked.picture)
    chosen = [benchmark for benchmark in BENCHMARKS if not asked.names or benchmark.name in asked.names]
    found = {benchmark.name: _measure(benchmark, rounds, quiet=asked.json) for benchmark in chosen}
    if asked.json:
        print(json.dumps({name: [figure.record() for figure in figures] for name, figures in found.items()}, indent=1))
    return int(any(figure.verdict is Verdict.FAIL for figures in found.values() for figure in figures))


def _measure(benchmark: Benchmark, rounds: Rounds, *, quiet: bool) -> list[Figure]:
    if not quiet:
        print(table.HEADER.replace(" " * table.WIDTH, f"{benchmark.title:{table.WIDTH}}", 1), flush=True)
    figures = benchmark.run(rounds)
    if not quiet:
        print("\n".join(table.line(figure) for figure in figures), end="\n\n", flush=True)
    return figures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.bench",
        description="Measure Forkful beside floors and peers. CPU is user and system time of all server processes, "
        f"servers on core {server_core()}, load on core {load_core()}, medians over alternating rounds.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {_names()} (default: all)")
    parser.add_argument("--rounds", type=int, default=0, help="rounds, each with fresh processes (default 5)")
    parser.add_argument("--quick", action="store_true", help="3 short rounds: to see that it works, not for figures")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="an SVG file to draw `balance` in")
    return parser


def _names() -> str:
    return ", ".join(benchmark.name for benchmark in BENCHMARKS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
