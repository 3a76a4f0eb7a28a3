"""Replacement: from the SIGKILL of the only worker to the next answer, for a handler whose import takes a second.

Can go wrong: no answer in time, or the dead worker's own: `ServerError`.
"""

import os
import select
import signal
import socket
import time
from dataclasses import replace
from statistics import median

from tests.bench.comparison import Rounds
from tests.bench.contenders import forkful, gunicorn
from tests.bench.figure import Figure, halves
from tests.bench.server import Contender, Server, ServerError

SLOW = "tests.bench.apps.slow"
TARGET_MS = 8.0
PATIENCE = 30.0
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


def replacement(rounds: Rounds) -> list[Figure]:
    """With preload, and the peer beside it."""
    application = f"{SLOW}:application"
    kills = rounds.rounds * 3
    ours = _measure(forkful("forkful --preload", f"{SLOW}:Pid", "--preload"), kills)
    figures = [_figure("killed to the next answer, preload", ours, TARGET_MS)]
    try:
        figures.append(_figure("Gunicorn --preload", _measure(gunicorn("gunicorn", application, "--preload"), kills)))
        figures.append(_figure("Gunicorn", _measure(gunicorn("gunicorn", application), rounds.rounds)))
    except ServerError as error:
        figures.append(Figure("Gunicorn", absent=f"{error}; pip install '.[bench]'"))
    return figures


def _figure(what: str, times: list[float], target: float | None = None) -> Figure:
    found = Figure(what, median(times), "ms", target, low=min(times), high=max(times), detail=f"{len(times)} kills")
    return replace(found, control=halves(times))


def _measure(contender: Contender, kills: int) -> list[float]:
    """Milliseconds of each trial, on a server of its own: a slot whose worker dies again and again has to wait."""
    times = []
    for _ in range(kills):
        with Server(contender) as server:
            pid = _ask(server.port)
            began = time.monotonic()
            _kill(pid)
            successor = _ask(server.port)
            times.append((time.monotonic() - began) * 1e3)
            if successor == pid:
                raise ServerError(f"{contender.name}: the dead worker {pid} answered")
    return times


def _kill(pid: int) -> None:
    """SIGKILL, and wait until it is dead, lest it accept the connection that asks for its successor."""
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        if not select.select([descriptor], [], [], PATIENCE)[0]:
            raise ServerError(f"worker {pid} survived SIGKILL for {PATIENCE:.0f} s")
    finally:
        os.close(descriptor)


def _ask(port: int) -> int:
    """The PID of the worker that answers."""
    reply = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(REQUEST)
        while chunk := connection.recv(4096):
            reply += chunk
    return int(reply.rpartition(b"\n")[2])
