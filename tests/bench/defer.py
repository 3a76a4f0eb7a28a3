"""`defer_accept`: what it saves for clients that speak first, what it costs those who wait, and who holds a lane.

The kernel passes a connection on when its client has sent something, or when it has been asked again often enough:
after 1, 3, 7, ... seconds. So silent clients hold no lane for so long, and a greeting comes so late.
Can go wrong: nobody answers within the patience: that is the figure, as the longest time waited.
"""

import socket
import time
from contextlib import ExitStack
from statistics import median

from tests.bench.comparison import Rounds, against, compare
from tests.bench.contenders import ECHO, forkful
from tests.bench.figure import Figure
from tests.bench.load import Load
from tests.bench.server import Contender, Server

OFF, ON = "at once", "defer_accept = 2"
FLAGS = {OFF: (), ON: ("--defer-accept", "2")}
LANES, SILENT, HONEST = 4, 20, 10
PATIENCE = 5.0  # seconds


def defer(rounds: Rounds) -> list[Figure]:
    """CPU first, then what a client waits."""
    speaks_first = [forkful(name, f"{ECHO}:Once", *flags) for name, flags in FLAGS.items()]
    on_the_loop = [forkful(name, "tests.bench.apps.aio:Once", *flags) for name, flags in FLAGS.items()]
    load = Load("close", connections=16)
    return [
        against("CPU per connection: deferred / at once, a lane", compare(speaks_first, load, rounds), (ON, OFF)),
        against("CPU per connection: deferred / at once, a loop", compare(on_the_loop, load, rounds), (ON, OFF)),
        *(_figure(f"wait for a greeting, {name}", _greeted(_lanes(name, "Greeting"), rounds)) for name in FLAGS),
        *(
            _figure(f"wait beside {SILENT} silent clients of {LANES} lanes, {name}", _among_silent(name, rounds))
            for name in FLAGS
        ),
    ]


def _lanes(name: str, handler: str) -> Contender:
    return forkful(name, f"{ECHO}:{handler}", "--threads", str(LANES), *FLAGS[name])


def _figure(what: str, seconds: list[float]) -> Figure:
    detail = "so long was waited, in vain" if median(seconds) >= PATIENCE else ""
    return Figure(what, median(seconds) * 1e3, "ms", low=min(seconds) * 1e3, high=max(seconds) * 1e3, detail=detail)


def _greeted(contender: Contender, rounds: Rounds) -> list[float]:
    with Server(contender) as server:
        return [_wait(server, b"") for _ in range(min(3, rounds.rounds))]


def _among_silent(name: str, rounds: Rounds) -> list[float]:
    """Clients that ask at once, while others have said nothing yet."""
    waits = []
    for _ in range(min(2, rounds.rounds)):
        with Server(_lanes(name, "Once")) as server, ExitStack() as stack:
            for _ in range(SILENT):
                stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            waits += [_wait(server, b"x" * 64) for _ in range(HONEST if name == ON else 1)]
    return waits


def _wait(server: Server, data: bytes) -> float:
    """From the connection to the first byte."""
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(data)
        try:
            client.recv(64)
        except TimeoutError:
            return PATIENCE
    return time.perf_counter() - began
