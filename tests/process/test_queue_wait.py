"""The time in the kernel's queue, beside queues of known delay: a lane that is held while others wait."""

import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.server import Server
from tests.kit.wait import PATIENCE, until

Doors = Callable[[str], Door]
NAME = "forkful_queue_wait_seconds"
DELAY = 0.6  # seconds at least that a client waits


def measured(server: Server) -> tuple[float, float]:
    """How many waits were measured, and their sum in seconds."""
    metrics = server.metrics()
    return metrics.sum(f"{NAME}_count"), metrics.sum(f"{NAME}_sum")


@pytest.mark.parametrize(
    ("handler", "flags"),
    [
        ("classic:EchoHandler", ()),
        ("classic:EchoHandler", ("--deny", "192.0.2.0/24")),
        ("loops:echo", ()),
        ("loops:echo", ("--event-loop", "asyncio")),
    ],
    ids=["lane", "lane with a step", "uvloop", "asyncio"],
)
def test_a_wait_in_the_queue_is_seen(handler: str, flags: tuple[str, ...], serve: Serve, doors: Doors) -> None:
    """The first of a worker is always measured: so a worker that begins to take late measures the whole wait."""
    door = doors("tcp")
    with ExitStack() as clients:
        waiting = clients.enter_context(door.connect())
        waiting.sendall(b"hello")  # in the queue before there is a server
        since = time.monotonic()
        until(lambda: time.monotonic() - since > DELAY, what="the client to have waited")
        server = serve(handler, *flags, binds=[door])
        assert waiting.recv(10) == b"hello"
        waited = time.monotonic() - since
        count, total = until(lambda: m if (m := measured(server))[0] else None, what="a wait that was measured")

    assert count == 1
    assert DELAY - 0.02 < total < waited + 0.02


def test_a_datagrams_wait_is_seen(serve: Serve, doors: Doors) -> None:
    """The 65th is measured: it is sent while the one before holds the only lane."""
    door = doors("udp")
    server = serve("loads:HeldDatagram", binds=[door])
    for _ in range(63):
        door.ask(b"x")
    before = measured(server)[1]
    with door.connect() as holding, door.connect() as waiting:
        holding.sendall(b"hold")
        waiting.sendall(b"y")
        assert (holding.recv(10), waiting.recv(10)) == (b"hold", b"y")

    total = measured(server)[1] - before
    assert DELAY / 2 < total < PATIENCE


def test_who_does_not_wait_is_told_so(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", binds=[door])
    for _ in range(65):
        door.ask(b"x")

    count, total = measured(server)
    assert count == 2, "one in 64"
    assert total < DELAY
