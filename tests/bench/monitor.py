"""The monitor: how many datagrams of each protocol one core takes in a second, beside what receiving alone costs.

    python -m tests.bench monitor --rounds 5

The worker is stopped (SIGSTOP), its socket's buffer filled, and the worker let go: so it never waits, and no sender
takes its time. What it takes is its own CPU time; nothing may be lost that the kernel does not count. Then worker after
worker is killed while senders go on: what was sent is counted, dropped by the kernel, or was in a killed one's hands.
Can go wrong: the machine is busy: the spread says so.
"""

import argparse
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from statistics import median
from urllib.request import urlopen

from tests.bench import cpu
from tests.bench.cores import load_core, pinned, server_core
from tests.bench.server import ROOT
from tests.kit.door import Door, door_of
from tests.kit.environment import short
from tests.kit.server import CLI, Server
from tests.kit.wait import readable

BURST = 8_000  # datagrams that fit into a buffer of 16 MiB
KINDS: dict[str, Sequence[bytes]] = {
    "a counter of StatsD": [b"requests.total:1|c"],
    "a counter with three tags, 100 series": [b"hits:1|c|#host:web%d,code:200,method:get" % n for n in range(100)],
    "a timer with a tag": [b"took:%d|ms|#route:/x" % n for n in range(1, 100)],
    "ten counters in a datagram": [b"\n".join(b"packed%d:1|c" % n for n in range(10))],
    "a gauge": [b"temperature:21|g"],
    "a line of Graphite": [b"servers.web.load 0.5 1600000000"],
    "a message of syslog": [b"<34>1 2003-10-11T22:14:15.003Z web1 su - ID47 - 'su root' failed"],
}
CONFIG = """
[pool.{pool}]
handler = "{handler}"
bind = ["udp://127.0.0.1:0"]
workers = {workers}
affinity = "peer"
receive_buffer = "16M"
"""
MONITOR = "forkful.handlers.examples.monitor"
PAGE = f"""
[pool.page]
handler = "{MONITOR}:page"
bind = ["http://127.0.0.1:0"]
"""


@contextmanager
def serving(text: str, env: Mapping[str, str] = {}) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="forkful-", dir=short(tempfile.gettempdir())) as folder:
        server = Server(Path(folder))
        (server.folder / "forkful.toml").write_text(text)
        command = [
            *CLI,
            "serve",
            "-c",
            str(server.folder / "forkful.toml"),
            "--admin-bind",
            f"unix://{server.admin.path}",
        ]
        server.launch(command, cwd=ROOT, env={"MONITOR_ADMIN": str(server.admin.path), **env})
        try:
            server.wait_ready()
            yield server
        finally:
            server.finish()


def burst(door: Door, lines: Sequence[bytes]) -> None:
    with door.connect() as client:
        for number in range(BURST):
            client.send(lines[number % len(lines)])


def floor(lines: Sequence[bytes]) -> float:
    """CPU seconds for each datagram of a loop that only receives."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE, socket(7)
        burst(Door(socket.AF_INET, socket.SOCK_DGRAM, sock.getsockname()), lines)
        began = time.thread_time()
        for _ in range(BURST):
            sock.recvfrom(65_535)
        return (time.thread_time() - began) / BURST


def cost(server: Server, pool: str, lines: Sequence[bytes]) -> float:
    """CPU seconds of the worker for each datagram."""
    (worker,) = server.workers(pool).values()
    before = server.metrics()
    os.kill(worker, SIGSTOP)
    burst(door_of(server.listeners(pool)[0]), lines)
    began = cpu.seconds(worker)
    os.kill(worker, SIGCONT)

    def taken() -> float:
        now = server.metrics()
        names = ("forkful_datagrams_received_total", "forkful_datagrams_dropped_total")
        received, dropped = (now.sum(name, pool=pool) - before.sum(name, pool=pool) for name in names)
        return received if received + dropped >= BURST else 0

    received = server.wait_until(taken, what="the whole burst, received or dropped")
    return (cpu.seconds(worker) - began) / received


def speed(rounds: int) -> None:
    handlers = {"nothing": "tests.bench.apps.silent:silent", "monitor": f"{MONITOR}:collect"}
    text = "".join(CONFIG.format(pool=pool, handler=handler, workers=1) for pool, handler in handlers.items())
    with pinned(server_core()), serving(text) as server:
        os.sched_setaffinity(0, {load_core()})
        print(f"{'CPU of a datagram, us; how many in a second on a core':54} floor  nothing  monitor  a second  spread")
        for name, lines in KINDS.items():
            cost(server, "monitor", lines)  # what is new is learned
            found = [
                (floor(lines), cost(server, "nothing", lines), cost(server, "monitor", lines)) for _ in range(rounds)
            ]
            least, nothing, ours = (median(each) * 1e6 for each in zip(*found, strict=True))
            rates = sorted(1 / each[2] for each in found)
            spread = f"{rates[0]:,.0f} .. {rates[-1]:,.0f}"
            print(f"{name:54} {least:5.1f} {nothing:8.1f} {ours:8.1f} {1e6 / ours:9,.0f}  {spread}", flush=True)


def exactness(kills: int) -> bool:
    """Kill worker after worker while eight senders go on, and account for each datagram."""
    with serving(CONFIG.format(pool="monitor", handler=f"{MONITOR}:collect", workers=2) + PAGE) as server:
        door, page = (door_of(server.listeners(pool)[0]) for pool in ("monitor", "page"))
        sent, over = [0] * 8, threading.Event()

        def send(number: int) -> None:
            with door.connect() as client:
                while not over.wait(0.0001):
                    client.send(b"sent:1|c")
                    sent[number] += 1

        with ThreadPoolExecutor() as pool:
            sending = [pool.submit(send, number) for number in range(len(sent))]
            try:
                for number in range(kills):
                    server.kill(server.wait_for_workers(2, pool="monitor")[number % 2])
            finally:
                over.set()
        for each in sending:
            each.result()

        def account() -> tuple[float, float]:
            with urlopen("http://{}:{}/metrics".format(*page.address), timeout=10) as answer:
                counted = float(re.findall(rb"^sent_total (\S+)$", answer.read(), re.MULTILINE)[0])
            return counted, server.metrics().sum("forkful_datagrams_dropped_total")

        def settled() -> tuple[float, float] | None:
            found = account()
            return (
                found if sum(found) >= sum(sent) - kills and not readable(within=0.5) and found == account() else None
            )

        counted, dropped = server.wait_until(settled, what="all that was sent", within=60)
    missing = sum(sent) - counted - dropped
    print(f"{sum(sent):,} sent by 8 senders while {kills} workers were killed: {counted:,.0f} counted, {dropped:,.0f}")
    print(f"dropped by the kernel, {missing:,.0f} in a killed worker's hands, of at most one for each")
    return 0 <= missing <= kills


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench monitor", description="Datagrams a second on a core.")
    parser.add_argument("--rounds", type=int, default=5, help="bursts of each kind (default 5)")
    parser.add_argument("--kills", type=int, default=10, help="workers killed while senders go on (default 10)")
    asked = parser.parse_args(arguments)
    if asked.rounds:
        speed(asked.rounds)
    return int(not exactness(asked.kills))
