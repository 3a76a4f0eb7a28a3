"""The master: what it costs by itself, with a thousand idle workers, and at 20,000 requests a second.

CPU is of the master alone, from its clock; it wakes up as often as it gives up its CPU of itself, proc_pid_status(5).
Can go wrong: the machine cannot answer so many requests: the rate that there was stands beside the figure.
"""

import re
import time
from dataclasses import replace
from pathlib import Path

from tests.bench.comparison import Rounds
from tests.bench.contenders import ECHO, forkful
from tests.bench.cores import load_core
from tests.bench.cpu import clock
from tests.bench.figure import Figure
from tests.bench.hello import WSGI
from tests.bench.load import Load, send
from tests.bench.server import Server

WORKERS, QUICKLY = 1000, 50
RATE = 20_000.0
SETTLE = 3.0
GOAL = 1.0  # per cent of a core
BOOT = 300.0


def master(rounds: Rounds) -> list[Figure]:
    """Idle first."""
    number = QUICKLY if rounds.quick else WORKERS
    seconds = 3.0 if rounds.quick else 10.0
    idle = forkful("forkful", f"{ECHO}:Once", "--preload", "--boot-timeout", f"{BOOT:.0f}", workers=number)
    shares, wakes = [], []
    with Server(replace(idle, within=BOOT)) as server:
        time.sleep(SETTLE)
        for _ in range(rounds.rounds):
            began, used, woken = time.monotonic(), _used(server.pid), _woken(server.pid)
            time.sleep(seconds)
            shares.append(100 * (_used(server.pid) - used) / (time.monotonic() - began))
            wakes.append(float(_woken(server.pid) - woken))
    busy, rates = _busy(rounds)
    every = f"of {rounds.rounds} times {seconds:.0f} s"
    rate = f"{min(rates):,.0f} to {max(rates):,.0f} requests a second"
    return [
        Figure(f"the master, {number} workers idle", max(shares), "%", GOAL, low=min(shares), high=max(shares)),
        Figure(
            f"its wake-ups, {number} workers idle", max(wakes), "", 0.0, low=min(wakes), high=max(wakes), detail=every
        ),
        Figure(
            "the master at 20,000 requests a second", max(busy), "%", GOAL, low=min(busy), high=max(busy), detail=rate
        ),
    ]


def _busy(rounds: Rounds) -> tuple[list[float], list[float]]:
    """Per cent of a core, and the rate that there was."""
    shares, rates = [], []
    load = Load("http-persistent", connections=50, rate=RATE, seconds=rounds.seconds * rounds.slices * 2)
    with Server(forkful("forkful", WSGI)) as server:
        for _ in range(rounds.rounds):
            used = _used(server.pid)
            outcome = send(load, server.address, load_core())
            shares.append(100 * (_used(server.pid) - used) / outcome.seconds)
            rates.append(outcome.rate)
    return shares, rates


def _used(pid: int) -> float:
    return time.clock_gettime(clock(pid))


def _woken(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0
