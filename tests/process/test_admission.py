"""`allow` and `deny`: who may connect, for every kind of handler, and what is counted of those who may not."""

import errno
import socket
from collections.abc import Callable, Sequence

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, read_all
from tests.kit.server import Server

#: Handlers on every loop there is, each with flags of its own and how many doors it has.
STREAMS = {
    "a lane": ("classic:LineHandler", (), 1),
    "a lane whose server has hooks": ("ownserver:Hooked", (), 1),
    "a lane with several listeners": ("classic:LineHandler", (), 2),
    "lanes": ("classic:LineHandler", ("--threads", "3"), 1),
    "a coroutine": ("loops:echo", (), 1),
    "a coroutine on asyncio": ("loops:echo", ("--event-loop", "asyncio"), 1),
    "a protocol": ("loops:Echo", (), 1),
    "WSGI": ("wsgi:about", ("--interface", "wsgi"), 1),
    "WSGI in threads": ("wsgi:about", ("--interface", "wsgi", "--threads", "3"), 1),
    "ASGI": ("asgi:echo", ("--interface", "asgi"), 1),
}


def is_served(door: Door) -> bool:
    """Whether anybody answers there."""
    with door.connect() as client:
        try:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            return read_all(client) != b""
        except (ConnectionResetError, BrokenPipeError):
            return False
        except OSError as error:  # reset already when we said that we have said all
            if error.errno != errno.ENOTCONN:
                raise
            return False


def refused(server: Server, reason: str = "denied") -> float:
    return server.metrics().sum("forkful_refused_total", pool="main", reason=reason)


def wait_refused(server: Server, count: int, reason: str = "denied") -> None:
    server.wait_until(lambda: refused(server, reason) == count, what=f"{count} refused, {reason}")


@pytest.mark.parametrize("kind", STREAMS)
def test_who_is_denied_never_reaches_the_handler_and_others_do(
    kind: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    handler, flags, many = STREAMS[kind]
    opened = [doors("tcp") for _ in range(many)] + [doors("tcp6")]
    server = serve(handler, *flags, "--deny", "127.0.0.0/8", binds=opened)

    assert [is_served(door) for door in opened] == [False] * many + [True]
    wait_refused(server, many)
    metrics = server.metrics_at_rest()
    assert metrics.sum("forkful_connections_accepted_total") == many + 1
    assert metrics.sum("forkful_requests_total") == 1
    assert metrics.sum("forkful_requests_in_flight") == 0


@pytest.mark.parametrize("kind", ["a lane", "a coroutine", "WSGI"])
def test_where_somebody_is_allowed_nobody_else_is(kind: str, serve: Serve, doors: Callable[[str], Door]) -> None:
    handler, flags, _ = STREAMS[kind]
    opened = [doors("unix"), doors("tcp6"), doors("tcp")]
    server = serve(handler, *flags, "--allow", "unix,::1", binds=opened)

    assert [is_served(door) for door in opened] == [True, True, False]
    wait_refused(server, 1)


@pytest.mark.parametrize("kind", ["a lane", "a protocol"])
def test_an_ipv4_client_of_a_socket_for_both_families_is_one(
    kind: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    handler, flags, _ = STREAMS[kind]
    door = doors("tcp*")
    server = serve(handler, *flags, "--deny", "127.0.0.1", binds=[door])

    assert not is_served(door.at("127.0.0.1"))
    assert is_served(door.at("::1"))
    wait_refused(server, 1)


@pytest.mark.parametrize("handler", ["classic:DatagramEcho", "loops:Datagrams"])
@pytest.mark.parametrize("kinds", [("udp", "udp6"), ("unixgram", "udp6")])
def test_datagrams_of_those_who_are_denied_are_dropped(
    handler: str, kinds: Sequence[str], serve: Serve, doors: Callable[[str], Door]
) -> None:
    denied, other = (doors(kind) for kind in kinds)
    server = serve(handler, "--deny", "127.0.0.1,unix", binds=[denied, other])

    with denied.connect() as client:
        client.send(b"hello")
    assert other.ask(b"hello") == b"hello"
    wait_refused(server, 1)
    assert server.metrics_at_rest().sum("forkful_requests_total") == 1


def test_what_was_refused_is_counted_for_good(serve: Serve, doors: Callable[[str], Door]) -> None:
    door, other = doors("tcp"), doors("tcp6")
    server = serve("classic:LineHandler", "--workers", "2", "--deny", "127.0.0.1", binds=[door, other])
    for _ in range(5):
        assert not is_served(door)
    wait_refused(server, 5)

    for pid in server.workers().values():
        server.kill(pid)
    server.wait_for_workers(2)
    assert refused(server) == 5
    assert server.reload().returncode == 0
    assert refused(server) == 5
    assert server.run("upgrade", "--wait").returncode == 0
    assert not is_served(door)
    wait_refused(server, 6)
    assert is_served(other)


@pytest.mark.parametrize("key", ["allow", "deny"])
def test_a_program_that_accepts_for_itself_cannot_be_asked_and_that_is_said(key: str, serve: Serve) -> None:
    server = serve("owners:plain", f"--{key}", "127.0.0.1", ready=False)

    assert server.wait_exit() == 3
    assert "'owners:plain' accepts for itself and asks nobody about allow and deny" in server.log
