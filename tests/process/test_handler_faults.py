"""What a handler or a client does wrong is said once, counted, and hurts nobody else."""

import socket
import struct
from collections.abc import Callable

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, read_all

Doors = Callable[[str], Door]
REQUESTS = "forkful_requests_total"


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize(
    ("order", "word"), [(b"raise", "LookupError"), (b"exit", "SystemExit"), (b"interrupt", "KeyboardInterrupt")]
)
def test_exception_of_a_stream_handler_is_logged_with_its_peer_and_ends_only_the_connection(
    order: bytes, word: str, threads: str, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve("faulty:Faulty", "--threads", threads, binds=[door])
    server.may_log_tracebacks = True
    workers = server.workers()
    with door.connect() as client:
        peer = client.getsockname()
        client.sendall(order)
        assert read_all(client) == b""
    log = server.wait_for_log(word)

    assert log.count("Traceback") == 1
    assert f"{peer[0]}:{peer[1]}" in log
    assert door.ask(b"fine") == b"fine"
    assert server.workers() == workers, "the worker is unharmed"
    metrics = server.metrics_at_rest()
    assert metrics.sum(REQUESTS, pool="main", outcome="error") == 1
    assert metrics.sum(REQUESTS, pool="main", outcome="ok") == 1


@pytest.mark.parametrize("order", [b"raise", b"exit", b"interrupt"])
def test_exception_of_a_datagram_handler_is_logged_and_the_next_datagram_served(
    order: bytes, serve: Serve, doors: Doors
) -> None:
    door = doors("udp")
    server = serve("faulty:FaultyDatagrams", binds=[door])
    server.may_log_tracebacks = True
    workers = server.workers()
    with door.connect() as client:
        client.send(order)
        client.send(b"fine")
        assert client.recv(100) == b"fine"

    assert server.workers() == workers
    assert server.log.count("Traceback") == 1
    assert server.metrics_at_rest().sum(REQUESTS, pool="main", outcome="error") == 1


def test_handler_that_ends_its_process_is_replaced(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("faulty:Faulty", "--workers", "2", binds=[door])
    before = server.workers()
    assert door.ask(b"die") == b""
    after = server.wait_until(
        lambda: w if len(w := server.workers()) == 2 and w != before else None, what="a replacement"
    )

    assert len(set(before.values()) & set(after.values())) == 1, "the other worker was not touched"
    assert "9" in server.log
    assert door.ask(b"fine") == b"fine"
    assert server.metrics().sum("forkful_worker_exits_total", pool="main", reason="crash") == 1


def reset(client: socket.socket) -> None:
    """Close with a reset instead of an end of stream (SO_LINGER of zero, socket(7))."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_peer_that_resets_is_no_error_of_ours(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("faulty:Faulty", binds=[door])
    for _ in range(5):
        client = door.connect()
        client.sendall(b"big")
        client.recv(1)
        reset(client)
    assert door.ask(b"fine") == b"fine"

    metrics = server.metrics_at_rest()
    assert metrics.sum(REQUESTS, pool="main", outcome="reset") == 5
    assert metrics.sum(REQUESTS, pool="main", outcome="error") == 0
    assert "ERROR" not in server.log


def test_peer_that_leaves_before_it_is_accepted_is_survived(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    early = [door.connect() for _ in range(5)]
    for client in early:
        reset(client)
    server = serve("classic:EchoHandler", binds=[door])

    assert door.ask(b"fine") == b"fine"
    assert "ERROR" not in server.log


def test_descriptors_that_run_out_pause_accepting_and_are_logged_once(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    lanes, limit = 64, 48
    script = ["prlimit", f"--nofile={limit}:{limit}"]
    server = serve("classic:EchoHandler", "--threads", str(lanes), binds=[door], wrapper=script)
    waiting = [door.connect() for _ in range(lanes)]  # and say nothing, so that each keeps a descriptor
    server.wait_for_log("Too many open files")
    for client in waiting:
        client.sendall(b"now")
    answers = [client.recv(10) for client in waiting]
    for client in waiting:
        client.close()

    assert answers == [b"now"] * lanes, "those who had to wait were served as descriptors came back"
    assert server.log.count("Too many open files") == 1
    assert door.ask(b"fine") == b"fine"


# -- datagrams ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["udp", "udp6", "unixgram"])
@pytest.mark.parametrize("size", [0, 1, 8192, 8193, 65_507])
def test_datagram_of_any_size_is_whole(kind: str, size: int, serve: Serve, doors: Doors) -> None:
    door = doors(kind)
    serve("classic:DatagramEcho", binds=[door])
    payload = bytes(n % 251 for n in range(size))

    assert door.ask(payload) == payload


def test_reply_to_a_peer_that_is_gone_does_not_hurt_the_next(serve: Serve, doors: Doors) -> None:
    door = doors("udp")
    server = serve("classic:DatagramEcho", binds=[door])
    workers = server.workers()
    for _ in range(5):
        with door.connect() as client:
            client.send(b"and away")  # the reply meets a closed port: ECONNREFUSED on the server's next call, udp(7)
        assert door.ask(b"fine") == b"fine"

    assert server.workers() == workers
    assert "Traceback" not in server.log


def test_unix_datagram_without_a_return_address_is_one_logged_error(serve: Serve, doors: Doors) -> None:
    door = doors("unixgram")
    server = serve("classic:DatagramEcho", binds=[door])
    server.may_log_tracebacks = True
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
        nameless.sendto(b"who am I", str(door.address))

    assert door.ask(b"fine") == b"fine"
    assert server.metrics_at_rest().sum(REQUESTS, pool="main", outcome="error") == 1
