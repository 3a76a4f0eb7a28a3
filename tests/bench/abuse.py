"""Abuse: what honest clients notice while a few others do harm, with the shipped limits for it and without.

    python -m tests.bench abuse --seconds 5

One table: each attack by its figure, as often as there are ways to be set up; the honest clients' share of answers and
the 99th percentile of their time, before and during; what the service's memory grew by, and the workers that it lost.
The attackers are bounded in number and time, and stay on loopback.
Can go wrong: an honest client is not answered within `LATE`: it counts as not answered.
"""

import argparse
import contextlib
import itertools
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import quantiles

import psutil

from tests.bench.contenders import forkful
from tests.bench.page import fetch
from tests.bench.server import Server

LATE = 2.0  # seconds
EVERY = 0.02  # seconds between two honest clients
HONEST = "127.0.0.1"
APPS = "tests.bench.apps.abused"
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"

Attack = Callable[[int, threading.Event], None]  # the port, and when to stop


@dataclass(frozen=True, slots=True)
class Case:
    """One line: an attack, what the service is told against it, and how honest clients ask it."""

    what: str
    attack: Attack
    handler: str
    options: tuple[str, ...] = ()
    ask: bytes = b"x"


@dataclass(slots=True)
class Seen:
    """What honest clients saw."""

    times: list[float] = field(default_factory=list)  # of those that were answered, seconds
    failed: int = 0

    @property
    def share(self) -> str:
        count = len(self.times) + self.failed
        return f"{100 * len(self.times) / count:.1f} %" if count else "none"

    @property
    def p99(self) -> str:
        return f"{1e3 * quantiles(self.times, n=100)[98]:.0f} ms" if len(self.times) > 1 else "none"


def _connect(port: int, source: str) -> socket.socket:
    sock = socket.socket()
    sock.settimeout(LATE)
    try:
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    return sock


def crowd(number: int, first: bytes, *, reads: bool = True, source: str = "127.0.0.2") -> Attack:
    """So many connections of one address that say this and no more; whoever is cut off comes again."""

    def attack(port: int, stop: threading.Event) -> None:
        held: list[socket.socket] = []
        while not stop.is_set():
            held = [sock for sock in held if not _is_cut(sock, reads=reads)]
            if len(held) == number:
                stop.wait(0.01)
            with contextlib.suppress(OSError):
                while len(held) < number and not stop.is_set():
                    held.append(_connect(port, source))
                    held[-1].sendall(first)
                    held[-1].setblocking(False)
        for sock in held:
            sock.close()

    return attack


def _is_cut(sock: socket.socket, *, reads: bool) -> bool:
    try:
        if sock.recv(1 << 16) if reads else sock.recv(1, socket.MSG_PEEK):
            return False
    except BlockingIOError:
        return False
    except OSError:
        pass
    sock.close()
    return True


def stream(first: bytes, rate: float, *, spray: bool = False) -> Attack:
    """New connections at this rate, a second, each with this to say; of one address, or each of another."""

    def attack(port: int, stop: threading.Event) -> None:
        numbers = itertools.count()
        while not stop.wait(1 / rate):
            number = next(numbers)
            source = (
                f"127.{2 + number // 65_000 % 200}.{number // 250 % 250}.{2 + number % 250}" if spray else "127.0.0.2"
            )
            with contextlib.suppress(OSError), _connect(port, source) as sock:
                sock.sendall(first)

    return attack


SILENT, DEAF = crowd(40, b""), crowd(20, b"flood", reads=False)
CROWD, OFTEN, SPRAY = crowd(300, b"stay"), stream(b"x", 500), stream(b"x", 500, spray=True)
KILLER = stream(b"die", 3)
HEADS = crowd(200, HEAD + b"X: " + b"a" * 60_000)
GARBAGE = stream(b"\x16\x03\x01\0\xff nonsense \x1b[31m\r\n\r\n", 500)
WORKERS = ("-w", "2", "--threads", "4")
CASES = (
    Case("40 silent clients, 8 lanes", SILENT, f"{APPS}:Lane", WORKERS),
    Case("the same, read_timeout = 0.2", SILENT, f"{APPS}:Lane", (*WORKERS, "--read-timeout", "0.2")),
    Case("the same, max_connections_per_ip = 4", SILENT, f"{APPS}:Lane", (*WORKERS, "--max-connections-per-ip", "4")),
    Case("20 clients that take nothing, 8 lanes", DEAF, f"{APPS}:Lane", (*WORKERS, "--write-timeout", "0")),
    Case("the same, write_timeout = 0.5", DEAF, f"{APPS}:Lane", (*WORKERS, "--write-timeout", "0.5")),
    Case("300 connections of one address, max_connections = 200", CROWD, f"{APPS}:loop", ("--max-connections", "200")),
    Case(
        "the same, max_connections_per_ip = 20",
        CROWD,
        f"{APPS}:loop",
        ("--max-connections", "200", "--max-connections-per-ip", "20"),
    ),
    Case("500 connections a second of one address", OFTEN, f"{APPS}:Lane", WORKERS),
    Case("the same, max_rate_per_ip = 100", OFTEN, f"{APPS}:Lane", (*WORKERS, "--max-rate-per-ip", "100")),
    Case("the same, each of another address", SPRAY, f"{APPS}:Lane", (*WORKERS, "--max-rate-per-ip", "100")),
    Case("3 requests a second that kill their worker", KILLER, f"{APPS}:Lane", WORKERS),
    Case("200 heads of 60 KB without an end", HEADS, f"{APPS}:web", (), HEAD + b"Connection: close\r\n\r\n"),
    Case("500 bad requests a second", GARBAGE, f"{APPS}:web", (), HEAD + b"Connection: close\r\n\r\n"),
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench abuse", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each attack, and of peace before it (default 5)")
    parser.add_argument("--only", default="", help="attacks with this in their name")
    asked = parser.parse_args(arguments)
    print("| attack | answered before | during | p99 before | during | memory | workers lost | log lines a second |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for case in CASES:
        if asked.only in case.what:
            print(_line(case, asked.seconds), flush=True)
    return 0


def _line(case: Case, seconds: float) -> str:
    with Server(forkful("forkful", case.handler, *case.options)) as server:
        before = _peace(server, case, seconds)
        memory, lost, lines = _memory(server), _lost(server), server.log.count("\n")
        stop = threading.Event()
        attacker = threading.Thread(target=case.attack, args=(server.port, stop))
        attacker.start()
        time.sleep(1.0)  # until it is at its height
        during = _peace(server, case, seconds)
        grown, gone = _memory(server) - memory, _lost(server) - lost
        rate = (server.log.count("\n") - lines) / (seconds + 1)
        stop.set()
        attacker.join()
    cells = (before.share, during.share, before.p99, during.p99, f"{grown / 1e6:+.0f} MB", f"{gone:.0f}", f"{rate:.1f}")
    return f"| {case.what} | {' | '.join(cells)} |"


def _peace(server: Server, case: Case, seconds: float) -> Seen:
    """What honest clients see for so long: one after the other, each with a connection of its own."""
    seen = Seen()
    until = time.monotonic() + seconds
    while (began := time.monotonic()) < until:
        try:
            with _connect(server.port, HONEST) as client:
                client.sendall(case.ask)
                answered = client.recv(100) != b""
        except OSError:
            answered = False
        if answered:
            seen.times.append(time.monotonic() - began)
        else:
            seen.failed += 1
        time.sleep(EVERY)
    return seen


def _memory(server: Server) -> int:
    """Bytes of the whole tree, resident and its own."""
    total = 0
    for process in [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().uss
    return total


def _lost(server: Server) -> float:
    page = fetch(str(server.directory / "admin.sock"), "/metrics").body.decode()
    return sum(map(float, re.findall(r"^forkful_worker_exits_total\{.*\} (\S+)$", page, re.MULTILINE)))
