"""What one server costs at one size: CPU of a request at a fixed rate, CPU of a start, memory, descriptors.

The rate is far below what a worker can do, so that what is measured is the cost of a request and not of a queue. The
connections are there before it counts and stay until it is over.
Can go wrong: an answer is wrong or missing: `ServerError`, since a cost by losing work is none.
"""

import os
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil

from tests.bench import cpu
from tests.bench.comparison import Rounds
from tests.bench.contenders import FORKFUL
from tests.bench.cores import load_core, pinned
from tests.bench.load import Load, warmed
from tests.bench.page import fetch
from tests.bench.server import Contender, Server, ServerError
from tests.bench.wrk import Wrk

RATE = 1000.0  # requests a second
PATIENCE = 60.0
SCRAPES = 10
HEADER = b"HTTP/1.1 200 "
BODIES = b"x" * 1_000_000


def request(server: Server, load: Load, rounds: Rounds) -> float:
    """Microseconds of CPU of the whole tree for a request at the fixed rate."""
    seconds = 0.5 if rounds.quick else 2.0
    paced = replace(load, rate=RATE, warm=max(200, load.connections), seconds=seconds, timeout=30.0)
    with warmed(paced, server.address, load_core()) as wait:
        before = server.cpu()
        outcome = wait()
        used = server.cpu() - before
    if outcome.errors or not outcome.ok:
        raise ServerError(f"{server.contender.name}: {outcome.ok} answered, {outcome.errors}:\n{server.tail}")
    return used * 1e6 / outcome.ok


def saturated(server: Server, load: Wrk, rounds: Rounds) -> float:
    """Microseconds of CPU for a request of as many as there can be."""
    load.drive(server.address, rounds.seconds, load_core())
    before = server.cpu()
    outcome = load.drive(server.address, rounds.seconds, load_core())
    used = server.cpu() - before
    if outcome.errors or not outcome.ok:
        raise ServerError(f"{server.contender.name}: {outcome.ok} answered, {outcome.errors}:\n{server.tail}")
    return used * 1e6 / outcome.ok


def memory(server: Server) -> float:
    """Megabytes of the whole tree, each page of those that share it counted by its part."""
    return sum(process.memory_full_info().pss for process in cpu.tree(server.pid)) / 1e6


def own(pids: Sequence[int]) -> float:
    """Bytes that these processes have to themselves."""
    return float(sum(psutil.Process(pid).memory_full_info().uss for pid in pids))


def peak(pid: int) -> float:
    """Megabytes at the most so far, resident; VmHWM in proc_pid_status(5)."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1e3 if found else 0.0


def descriptors(pids: Sequence[int]) -> float:
    return float(sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids))  # noqa: PTH208 - of the kernel's own files


def scoreboard(pid: int) -> float:
    """Kilobytes of the scoreboard that are there: it is sparse, stat(2) has its blocks."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if "forkful-scoreboard" in os.readlink(link):  # noqa: PTH115 - no path: the kernel's own words
                return link.stat().st_blocks * 512 / 1e3
    raise ServerError(f"process {pid} has no scoreboard")


def workers(server: Server) -> list[int]:
    """The PIDs of those that serve, by what `ps` shows."""
    return [each.pid for each in cpu.tree(server.pid) if ": worker" in " ".join(each.cmdline())]


def admin_cpu(server: Server, page: str, method: str = "GET", times: int = SCRAPES) -> float:
    """Milliseconds of CPU of the whole tree for a page of the admin child."""
    path = str(server.directory / "admin.sock")
    fetch(path, "/metrics")  # it imports what it needs
    before = server.cpu()
    for _ in range(times):
        answer = fetch(path, page, method)
        if answer.status != 200:
            raise ServerError(f"{page}: {answer.status} {answer.body[:200]!r}\n{server.tail}")
    return (server.cpu() - before) * 1e3 / times


def transfer(server: Server, *, sent: int, answered: int, times: int) -> float:
    """Milliseconds of CPU for a request with a body and an answer of so many bytes, one after the other."""
    head = b"POST /%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (answered, sent)
    with pinned(load_core()), socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        _exchange(client, head, sent, answered)
        before = server.cpu()
        for _ in range(times):
            _exchange(client, head, sent, answered)
        return (server.cpu() - before) * 1e3 / times


def _exchange(client: socket.socket, head: bytes, sent: int, answered: int) -> None:
    client.sendall(head)
    while sent > 0:
        client.sendall(BODIES[:sent])
        sent -= len(BODIES)
    reply = b""
    while b"\r\n\r\n" not in reply:
        if not (data := client.recv(1 << 16)):
            raise ServerError(f"no answer but {reply[:200]!r}")
        reply += data
    if not reply.startswith(HEADER):
        raise ServerError(f"answered {reply[:200]!r}")
    left = answered - len(reply.partition(b"\r\n\r\n")[2])
    room = bytearray(1 << 18)
    while left > 0:
        if not (got := client.recv_into(room)):
            raise ServerError(f"{left} bytes of the answer are missing")
        left -= got


def pools(number: int, handler: str) -> Contender:
    """A service of so many pools, the first on the socket handed down."""
    lines = ['[admin]\nbind = ["unix://%(tmp)s/admin.sock"]\n']
    for index in range(number):
        address = "unix://%(tmp)s/p{}.sock".format(index) if index else "fd://%(fd)d"  # noqa: UP032 - two kinds of braces
        lines.append(f'[pool.p{index}]\nhandler = "{handler}"\nbind = ["{address}"]\nworkers = 1\n')
    name = f"{number} pools"
    return Contender(name, (*FORKFUL, "-c", "{tmp}/conf"), configuration="\n".join(lines), within=400.0)
