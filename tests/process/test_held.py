"""Connections that outlive their handler: in flight until their socket is closed, whoever holds it."""

import socket
from collections.abc import Callable
from signal import SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, read_all
from tests.kit.server import Server

HANDLERS = ("holding:Unbound", "holding:OwnThread", "holding:KeepsOpen", "holding:Detaches")


def echoes(client: socket.socket, data: bytes) -> None:
    client.sendall(data)
    assert client.recv(100) == data


def wait_in_flight(server: Server, count: int) -> None:
    server.wait_until(lambda: server.pool()["in_flight"] == count, what=f"{count} in flight")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("handler", HANDLERS)
def test_what_a_thread_of_the_program_holds_is_in_flight_and_its_lane_is_free(
    handler: str, kind: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors(kind)
    server = serve(handler, binds=[door])

    with door.connect() as one, door.connect() as two:
        echoes(one, b"one")
        echoes(two, b"two")  # there is one lane
        wait_in_flight(server, 2)
        metrics = server.metrics()
        assert metrics.sum("forkful_connections_active") == 2
        assert metrics.sum("forkful_oldest_request_seconds") > 0
    wait_in_flight(server, 0)
    assert server.metrics_at_rest().sum("forkful_requests_total", outcome="ok") == 2


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_reload_and_a_stop_wait_for_what_is_held(handler: str, serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve(handler, binds=[door])

    with door.connect() as client:
        echoes(client, b"before")
        assert server.reload().returncode == 0
        echoes(client, b"after a reload")
        server.signal(SIGTERM)
        server.wait_until(lambda: server.status()["phase"] == "STOPPING", what="a stop")
        echoes(client, b"in a stop")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    assert server.wait_exit() == 0


@pytest.mark.parametrize("handler", ["holding:Unbound", "holding:Detaches"])
def test_what_is_held_too_long_is_ended_by_graceful_timeout_and_counted_as_lost(
    handler: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve(handler, "--graceful-timeout", "1", binds=[door])

    with door.connect() as client:
        echoes(client, b"held")
        assert server.reload().returncode == 0
        assert client.recv(1) == b"", "its worker was ended"
    server.wait_for_workers(1)
    assert server.metrics().sum("forkful_requests_total", outcome="lost") == 1


def test_an_overridden_process_request_thread_is_called_once_for_each_connection(
    serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve("holding:OwnThread", "--threads", "2", binds=[door])
    with door.connect() as client:
        echoes(client, b"once")
    assert [server.events.next() for _ in range(2)] == ["process_request_thread", "closed"]


@pytest.mark.parametrize("handler", ["holding:Unbound", "holding:OwnThread", "holding:KeepsOpen"])
def test_read_timeout_is_that_of_a_connection_whoever_has_it(
    handler: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve(handler, "--read-timeout", "1", binds=[door])
    server.may_log_tracebacks = handler != "holding:Unbound"  # of threads that are the program's own

    with door.connect() as silent:
        for _ in range(20):  # its handler has returned long since, whatever ran first
            echoes(silent, b"x")
        assert silent.recv(1) == b"", "it was ended"
    wait_in_flight(server, 0)
    with door.connect() as client:
        for _ in range(4):
            echoes(client, b"its lane is none the worse for it")


@pytest.mark.parametrize("handler", HANDLERS)
def test_idle_timeout_is_for_what_is_held_as_well(handler: str, serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve(handler, "--idle-timeout", "1", binds=[door])

    with door.connect() as silent:
        for _ in range(20):
            echoes(silent, b"x")
        assert silent.recv(1) == b"", "it was ended"
    wait_in_flight(server, 0)


def test_what_nobody_holds_any_more_is_over(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve("holding:Forgets", binds=[door])

    with door.connect() as client:
        assert client.recv(1) == b""
    wait_in_flight(server, 0)
