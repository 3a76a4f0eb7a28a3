"""The run: serve all applications, let them be used, let faults happen, balance, and tell.

Can go wrong: a promise was not held: each is a line of the verdict, and the exit code is 1.
"""

import argparse
import importlib
import os
import random
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM

from tests.bench.soak import applications, flatness, ledger
from tests.bench.soak.applications import Clients, Crew
from tests.bench.soak.faults import PATIENCE, Faults
from tests.bench.soak.flatness import Growth, Sample
from tests.bench.soak.ledger import CALM, Balance, Ledger
from tests.kit.environment import short
from tests.kit.server import APPS, CLI, Server
from tests.kit.wait import TooLateError, until

_OPERATOR = "operator"


#: By application; imported late, for one may not be there.
_CLIENTS = {"monitor": "senders:Senders", "web": "browsers:Browsers", "game": "players:Players", "compute": "jobs:Jobs"}


def clients_of(name: str, book: Ledger) -> Clients:
    module, _, kind = _CLIENTS[name].partition(":")
    found: Clients = getattr(importlib.import_module(f"tests.bench.soak.{module}"), kind)(book)
    return found


@dataclass(slots=True)
class Report:
    """All there is to tell."""

    seconds: float
    seed: int
    names: list[str]
    book: Ledger
    balances: list[Balance] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    cpu: tuple[float, float] = (0.0, 0.0)  # of a core: of the service, of its clients

    def complaints(self) -> list[str]:
        uneven = [each for each in self.balances if not each.is_even]
        grown = [each for each in self.growth if not each.is_flat]
        return [
            *self.trouble,
            *self.book.complaints(),
            *(f"{each.application}: {each.what}: {each.missing} missing, not 0 to {each.at_most}" for each in uneven),
            *(f"{each.role}: {each.measure} grew from {each.first:g} to {each.last:g}" for each in grown),
        ]

    def page(self) -> list[str]:
        """As Markdown."""
        complaints = self.complaints()
        grows = "and nothing grows" if self.growth else "and it was too short to see whether something grows"
        held = f"All promises held: the books balance, {grows}."
        verdict = [f"- **{each}**" for each in complaints] or [held]
        what = (
            f"{self.seconds:.0f} s, {', '.join(self.names)}, {sum(self.book.faults.values())} faults, seed {self.seed}"
        )
        cpu = f"of a core the service took {self.cpu[0]:.2f}, its clients {self.cpu[1]:.2f}"
        return [
            f"{what}; {cpu}.",
            "",
            *verdict,
            *[f"  - {remark}" for remark in self.book.remarks],
            "",
            *ledger.table_of_faults(self.book),
            "",
            *ledger.table_of_counts(self.book),
            "",
            *ledger.table_of_balances(self.balances),
            "",
            *flatness.table(self.growth),
        ]


def run(seconds: float, seed: int, names: list[str], folder: Path) -> Report:
    book = Ledger()
    report = Report(seconds, seed, names, book)
    with ExitStack() as life:
        server = life.enter_context(_serving(folder, names))
        clients = {name: clients_of(name, book) for name in names}
        pools = {name: [*applications.doors(server, name)] for name in names}
        faults = Faults(server, book, pools, seed)
        operator = Crew(book, _OPERATOR)
        operator.send(lambda: _ask(server, operator), 4)
        began, spent = time.monotonic(), os.times()
        for name, each in clients.items():
            each.start(applications.doors(server, name))
        samples: list[Sample] = []
        while time.monotonic() < began + seconds and server.running:
            book.begin(CALM)
            faults.pause(0.5, 3.0)
            samples.append(flatness.sample(server.pid))
            faults.one()
            report.trouble = faults.trouble
            fault = " of ".join(filter(None, faults.last))
            at, number = time.monotonic() - began, sum(book.faults.values())
            print(f"{at:6.0f} s  {number}: {fault}; complaints: {len(report.complaints())}", flush=True)
        book.begin(CALM)
        for each in clients.values():
            each.stop()
        operator.stop()
        took = time.monotonic() - began
        report.growth = [*flatness.growth(samples)]
        report.balances = _balanced(server, clients)
        mine = os.times()
        report.cpu = _cpu(server) / took, (mine.user + mine.system - spent.user - spent.system) / took
        report.trouble += _ended(server)
    return report


def _ended(server: Server) -> list[str]:
    """Stop it; what is to be said of that, and of what it leaves behind."""
    try:
        server.signal(SIGTERM)
        code = server.wait_exit(within=PATIENCE)
        server.finish()
    except AssertionError as error:
        return [f"the stop: {error!s:.500}"]
    return [f"exit code {code} after TERM"] if code else []


def _ask(server: Server, operator: Crew) -> None:
    """As a page that is open, or a probe: what it is told is not looked at, but that it is told."""
    try:
        code, text = server.admin.get("/status.json")
    except OSError as error:
        code, text = 0, repr(error)
    operator.count("status asked")
    if code != 200:
        operator.notice("status not answered", f"{code} {text[:100]}")


def _cpu(server: Server) -> float:
    metrics = server.metrics()
    return metrics.sum("forkful_worker_cpu_seconds_total") + metrics.sum("process_cpu_seconds_total")


def _balanced(server: Server, clients: dict[str, Clients]) -> list[Balance]:
    """As soon as all is even; or else as it is after a while."""
    found: list[Balance] = []

    def even() -> bool:
        metrics = server.metrics()
        found[:] = [balance for each in clients.values() for balance in each.balances(metrics)]
        return all(balance.is_even for balance in found)

    with suppress(TooLateError):
        until(even, what="books that balance", within=15)
    return found


@contextmanager
def _serving(folder: Path, names: list[str]) -> Iterator[Server]:
    server = Server(folder)
    server.may_log_tracebacks = True  # of broken reloads
    (folder / "forkful.toml").write_text(applications.settings(names))
    command = [*CLI, "serve", "-c", str(folder / "forkful.toml"), "--admin-bind", f"unix://{server.admin.path}"]
    server.launch(command, cwd=APPS, env={"BROKEN": str(folder / "broken"), **applications.environment(server)})
    try:
        server.wait_ready(within=PATIENCE)
        yield server
    finally:
        if server.running:  # something failed, which is what is to be seen
            with suppress(AssertionError):
                server.finish()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.bench soak", description="All applications, every fault, a ledger."
    )
    parser.add_argument("--seconds", type=float, default=3600.0, help="for how long (default 3600)")
    parser.add_argument("--seed", type=int, default=None, help="of the sequence of faults (default: a new one)")
    parser.add_argument("--summary", type=Path, help="a page to write the ledger to")
    parser.add_argument("--only", nargs="*", choices=applications.NAMES, help="of the applications (default: all)")
    asked = parser.parse_args(arguments)
    if missing := applications.missing_libraries():
        print(f"soak: install {', '.join(missing)}", file=sys.stderr)
        return 2
    seed = random.SystemRandom().randrange(1 << 16) if asked.seed is None else asked.seed
    names = [name for name in applications.present() if not asked.only or name in asked.only]
    with tempfile.TemporaryDirectory(prefix="forkful-soak-", dir=short(tempfile.gettempdir())) as folder:
        report = run(asked.seconds, seed, names, Path(folder))
        if report.complaints():
            kept = Path(tempfile.gettempdir()) / f"forkful-soak-{seed}.log"
            kept.write_text((Path(folder) / "server.log").read_text(errors="replace"))
            print(f"its log: {kept}")
    page = "\n".join(report.page()) + "\n"
    print(page)
    if asked.summary is not None:
        command = shlex.join(["python", "-m", "tests.bench", "soak", *arguments])
        by_hand = asked.summary.read_text().partition(_BY_HAND)[2] if asked.summary.exists() else "\n"
        text = f"# The soak\n\n{_TOLD}\n\nWritten by `{command}`.\n\n{page}\n{_BY_HAND}{by_hand}"
        asked.summary.write_text(text)
    return int(bool(report.complaints()))


_BY_HAND = "<!-- what follows is written by hand -->"
_TOLD = """\
All applications of `forkful.handlers.examples` run in one service under bounded load, each with its real clients, while
everything happens to it that can, one thing after the other. What clients notice is put down to what is being done, or
was in the last three seconds. Memory, descriptors and threads are those of the biggest process of each kind, medians
of the first and the last quarter."""
