"""A connection in a server's own `get_request`: in flight like one in a handler, for status, `timeout` and a drain."""

import ssl
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, read_all
from tests.kit.server import Server

LANES = {"a listener of its own": 1, "several listeners": 3}  # doors for two lanes: three are polled


def wait_in_flight(server: Server, count: int) -> None:
    server.wait_until(lambda: server.pool()["in_flight"] == count, what=f"{count} in flight")


@pytest.mark.parametrize("doors_of", LANES)
def test_silent_clients_in_get_request_are_seen(doors_of: str, serve: Serve, doors: Callable[[str], Door]) -> None:
    opened = [doors("tcp") for _ in range(LANES[doors_of])]
    server = serve("entrance:Reading", "--threads", "2", binds=opened)
    assert server.pool()["in_flight"] == 0, "a lane that waits for a connection is idle"

    with opened[0].connect(), opened[-1].connect():
        wait_in_flight(server, 2)
        metrics = server.metrics()
        assert metrics.sum("forkful_requests_in_flight") == 2
        assert metrics.sum("forkful_connections_active") == 2
        assert metrics.sum("forkful_oldest_request_seconds") > 0
        assert metrics.sum("forkful_requests_total") == 0
        stacks = server.run("stacks", "main")
        assert stacks.returncode == 0
        server.wait_for_log("arriving for 127.0.0.1:")
    wait_in_flight(server, 0)
    assert server.metrics().sum("forkful_refused_total", reason="get_request") == 2
    assert opened[0].ask(b".hello\n") == b"HELLO\n"
    metrics = server.metrics_at_rest()
    assert metrics.sum("forkful_connections_accepted_total") == 3
    assert metrics.sum("forkful_requests_total", outcome="ok") == 1


@pytest.mark.parametrize("doors_of", LANES)
def test_silent_clients_in_get_request_are_overdue_like_any(
    doors_of: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    opened = [doors("tcp") for _ in range(LANES[doors_of])]
    # One that is late a moment after its worker was condemned has all of graceful_timeout.
    server = serve("entrance:Reading", "--threads", "2", "--timeout", "1", "--graceful-timeout", "1", binds=opened)
    before = server.workers()

    with opened[0].connect(), opened[-1].connect():
        server.wait_for_workers(1, besides=[*before.values()])
        assert opened[0].ask(b".hello\n") == b"HELLO\n"
    assert server.metrics().sum("forkful_worker_exits_total", reason="timeout") == 1


def test_a_silent_client_in_get_request_is_only_reported_where_that_is_asked(
    serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve("entrance:Reading", "--timeout", "1", "--timeout-action", "report", binds=[door])
    before = server.workers()

    with door.connect() as client:
        server.wait_for_log("only reported")
        client.sendall(b".hello\n")
        assert read_all(client) == b"HELLO\n"
    assert server.workers() == before


@pytest.mark.parametrize("doors_of", LANES)
def test_a_stop_waits_for_a_client_in_get_request(doors_of: str, serve: Serve, doors: Callable[[str], Door]) -> None:
    opened = [doors("tcp") for _ in range(LANES[doors_of])]
    server = serve("entrance:Reading", "--threads", "2", binds=opened)

    with opened[0].connect() as client:
        wait_in_flight(server, 1)
        server.signal(SIGTERM)
        server.wait_until(lambda: server.pool()["workers"][0]["phase"] == "DRAINING", what="a draining worker")
        client.sendall(b".hello\n")
        assert read_all(client) == b"HELLO\n"
    assert server.wait_exit() == 0


def test_a_stop_ends_a_client_in_get_request_after_graceful_timeout(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve("entrance:Reading", "--graceful-timeout", "1", binds=[door])

    with door.connect() as client:
        wait_in_flight(server, 1)
        server.signal(SIGTERM)
        assert server.wait_exit() == 0
        assert client.recv(1) == b""


def test_tls_by_get_request_is_served_and_a_silent_client_of_it_is_in_flight(
    serve: Serve, doors: Callable[[str], Door], certificate: Path
) -> None:
    door = doors("tcp")
    server = serve("entrance:Secured", "--threads", "2", binds=[door], env={"CERTIFICATE": str(certificate)})
    trust = ssl.create_default_context(cafile=str(certificate))

    with door.connect():
        wait_in_flight(server, 1)
        with trust.wrap_socket(door.connect(), server_hostname="localhost") as client:
            client.sendall(b"hello\n")
            assert client.recv(100) == b"HELLO\n"
    wait_in_flight(server, 0)
    assert server.metrics().sum("forkful_refused_total", reason="get_request") == 1


def test_who_is_denied_is_not_seen_by_get_request(serve: Serve, doors: Callable[[str], Door]) -> None:
    denied, door = doors("tcp"), doors("tcp6")
    server = serve("entrance:Reading", "--deny", "127.0.0.1", binds=[denied, door])

    with denied.connect() as client:
        assert client.recv(1) == b""
    assert door.ask(b".hello\n") == b"HELLO\n"
    assert server.events.next() == "served ::1"
    assert server.metrics_at_rest().sum("forkful_refused_total", reason="denied") == 1
