"""Every request of an event loop has one outcome, whatever else fails there; every connection is counted once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.server import Server
from tests.kit.web import get

Doors = Callable[[str], Door]


def outcomes(server: Server) -> dict[str, float]:
    metrics = server.metrics_at_rest()
    ended = {
        dict(labels)["outcome"]: count
        for (name, labels), count in metrics.items()
        if name == "forkful_requests_total" and count
    }
    assert sum(ended.values()) == metrics.sum("forkful_request_duration_seconds_count")
    return ended


def test_tasks_that_fail_for_themselves_are_no_requests(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("blocking:littering", binds=[door])
    server.may_log_tracebacks = True
    for _ in range(3):
        assert door.ask(b"x") == b"x"

    assert outcomes(server) == {"ok": 3}
    assert server.log.count("of no request") >= 15


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize(
    ("handler", "word"), [("FailsToBegin", "begin"), ("FailsToEnd", "end"), ("FailsTwice", "data")]
)
def test_connection_of_a_protocol_that_fails_is_one_error_and_is_closed(
    handler: str, word: str, loop: str, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve(f"blocking:{handler}", "--event-loop", loop, binds=[door])
    server.may_log_tracebacks = True
    for _ in range(3):
        with door.connect() as client:
            client.sendall(b"x")
            with suppress(ConnectionResetError):
                assert client.recv(10) in (b"x", b"")

    server.wait_until(lambda: outcomes(server) == {"error": 3}, what="three errors, and nothing else")
    assert f"ValueError: {word}" in server.log


def test_connections_served_by_threads_are_counted_once(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("wsgi:echo", "--threads", "4", binds=[door])
    with ThreadPoolExecutor(3) as clients:
        answers = [clients.submit(get, door, "/wait") for _ in range(3)]
        for _ in range(3):
            server.events.expect("started")
        metrics = server.metrics()
        server.events.let_through(3)
        assert [answer.result().status for answer in answers] == [200] * 3

    assert metrics.sum("forkful_connections_active") == 3
    assert metrics.sum("forkful_requests_in_flight") == 3
    assert metrics.sum("forkful_lanes") == 4
