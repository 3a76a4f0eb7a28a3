"""What a server class of the user's overrides is kept: its socket's options, its loop, its actions, its shutdown."""

import contextlib
import socket
import urllib.request
from collections.abc import Callable
from signal import SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit.door import Door


@pytest.mark.parametrize("what", ["tuned", "tuned_later"])
def test_options_set_while_binding_reach_the_shared_socket(
    what: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    serve(f"overriding:{what}", "--workers", "2", binds=[door])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000)
        room = other.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    assert door.ask(b"?") == b"[1, %d]" % room


def test_server_that_binds_by_itself_gets_the_shared_socket(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    assert isinstance(door.address, tuple)
    server = serve("overriding:binds_by_itself", "--workers", "2", binds=[door], env={"WANTED": str(door.address[1])})
    assert door.ask(b"?").startswith(b"[1, ")
    server.hup()
    assert door.ask(b"?").startswith(b"[1, ")


def test_membership_of_a_group_reaches_the_shared_socket_and_is_kept_by_a_reload(serve: Serve) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("", 0))
        port = listener.getsockname()[1]
        door = Door(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port), listener.dup())
    server = serve("overriding:group", "--workers", "2", binds=[door])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        client.sendto(b"one", ("239.255.77.77", port))
        assert server.events.next() == "got one"
        server.hup()
        client.sendto(b"two", ("239.255.77.77", port))
        assert server.events.next() == "got two"


@pytest.mark.parametrize(("threads", "in_main"), [("1", True), ("3", False)])
def test_service_actions_are_called_while_nothing_comes(threads: str, in_main: bool, serve: Serve) -> None:
    server = serve("overriding:looked", "--threads", threads)

    assert [server.events.next() for _ in range(3)] == [f"service_actions {in_main}"] * 3


def test_own_serve_forever_serves_in_the_main_thread_and_ends_with_the_worker(
    serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve("overriding:announced", binds=[door])
    assert server.events.next() == "begin in the main thread: True"
    assert door.ask(b"hello") == b"hello"
    server.signal(SIGTERM)
    server.events.expect("end")


@pytest.mark.parametrize(
    ("what", "words"),
    [("one_by_one", "OneByOne.serve_forever() asks for one"), ("absent", "Absent.serve_forever() returned without")],
)
def test_own_serve_forever_that_is_not_kept_is_named(
    what: str, words: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve(f"overriding:{what}", binds=[door])
    assert door.ask(b"hello") == b"hello"
    server.signal(SIGTERM)
    server.events.expect("end")

    assert server.wait_exit() == 0
    assert words in server.log


@pytest.mark.parametrize("stop", [True, False])
def test_own_shutdown_is_called_when_a_worker_drains_and_may_end_its_connections(
    stop: bool, serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve("overriding:telling", "--threads", "4", "--workers", "1", binds=[door])
    with contextlib.closing(door.connect()) as client:
        assert client.recv(5) == b"hello"
        if stop:
            server.signal(SIGTERM)
        else:
            server.hup()
        assert client.recv(5) == b"bye"
    server.events.expect("shutdown")
    if stop:
        assert server.wait_exit() == 0


def test_wsgiref_tells_its_application_the_port_that_it_serves(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    assert isinstance(door.address, tuple)
    serve("overriding:reference", binds=[door])
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{door.address[1]}/", timeout=15) as reply:
        assert reply.read() == str(door.address[1]).encode()


def test_queue_is_emptied_at_a_stop_though_a_shutdown_of_the_users_closes_the_socket_and_fails(
    serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve("overriding:closing", "--workers", "2", binds=[door])
    with contextlib.ExitStack() as clients:
        waiting = [clients.enter_context(door.connect()) for _ in range(6)]
        for number, client in enumerate(waiting):
            client.sendall(b"%d" % number)
        assert [server.events.next() for _ in range(2)] == ["asked"] * 2
        server.signal(SIGTERM)
        told = [server.events.next() for _ in range(2)]
        assert told == ["shut down"] * 2
        server.events.let_through(6)
        assert [client.recv(10) for client in waiting] == [b"%d" % number for number in range(6)]
    assert server.wait_exit() == 0
    assert server.log.count("ValueError: not in the list") >= 1
