"""What authors of Starlette applications rely on: contexts of their own, ends of streams, time to wait."""

import signal
import socket
from collections.abc import Callable

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.web import Web, get

Doors = Callable[[str], Door]
LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


@LOOPS
def test_each_request_begins_in_the_context_of_the_start_up_and_of_no_other(
    serve: Serve, doors: Doors, loop: str
) -> None:
    door = doors("tcp")
    serve("promises:app", "--event-loop", loop, binds=[door])

    with door.connect() as client:
        client.sendall(b"".join(b"GET /who?user=u%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(20)))
        client.shutdown(socket.SHUT_WR)
        heard = b"".join(iter(lambda: client.recv(65_536), b""))
    assert heard.count(b"started nobody") == 20
    with Web(door) as web:
        for _ in range(3):
            assert web.ask("/who?user=alice", "POST", b"x" * 1_000_000).text == "started nobody"
            assert web.ask("/who?user=bob").text == "started nobody"


@LOOPS
def test_a_stream_whose_client_left_ends_at_once(serve: Serve, doors: Doors, loop: str) -> None:
    door = doors("tcp")
    server = serve("promises:app", "--event-loop", loop, binds=[door])

    with door.connect() as client:
        client.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        while b"one" not in client.recv(65_536):
            pass

    server.events.expect("finally", within=5)
    server.events.expect("background", within=5)


def test_a_request_may_wait_longer_than_the_default_timeout_counts(serve: Serve, doors: Doors) -> None:
    """The default cannot be waited for here: what it means is in the plan, and the scoreboard tells the master."""
    door = doors("tcp")
    server = serve("promises:app", "--timeout-action", "report", binds=[door])

    assert get(door, "/poll?seconds=0.1").text == "news"
    assert "beyond the pool's timeout" not in server.log


def test_slow_uploads_do_not_count_to_the_timeout(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("promises:app", "--timeout", "1", binds=[door])

    clients = [door.connect() for _ in range(4)]
    for client in clients:
        client.sendall(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")
    before = server.wait_for_workers(1)
    for _ in range(6):
        assert get(door, "/poll?seconds=0.3").text == "news"  # time goes by
        for client in clients:
            client.sendall(b"x")
    for client in clients:
        client.sendall(b"xx")
        assert client.recv(65_536).endswith(b"8")
        client.close()
    assert server.wait_for_workers(1) == before


@LOOPS
@pytest.mark.parametrize("path", ["/events", "/library"])
def test_server_sent_events_learn_of_a_stop_at_its_beginning(serve: Serve, doors: Doors, loop: str, path: str) -> None:
    door = doors("tcp")
    server = serve("promises:app", "--event-loop", loop, "--graceful-timeout", "60", binds=[door])

    with door.connect() as client, door.connect() as other:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        while b"one" not in client.recv(65_536):
            pass
        other.sendall(b"GET /download HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in other.recv(15)
        server.signal(signal.SIGTERM)
        server.events.expect("ended", within=5)
        rest = b"".join(iter(lambda: client.recv(65_536), b""))
        assert not rest.endswith(b"0\r\n\r\n"), "half an answer never looks whole"
        assert b"".join(iter(lambda: other.recv(65_536), b"")).endswith(b"two\r\n0\r\n\r\n")
    assert server.wait_exit(within=10) == 0
