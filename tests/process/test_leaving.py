"""What a worker's end owes its handlers, and what a handler's children may not keep."""

import socket
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.wait import gone


@pytest.mark.parametrize("handler", ["leaving:Busy", "leaving:busy"])
def test_worker_waits_for_its_threads_and_then_runs_atexit(
    handler: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve(handler, "--workers", "1", binds=[door])
    with door.connect() as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
    server.events.expect("pool")
    server.signal(SIGTERM)
    server.events.let_through()

    assert server.events.next() == "thread"
    assert server.events.next() == "atexit"
    assert server.wait_exit() == 0


def test_thread_that_does_not_end_is_not_waited_for_beyond_graceful_timeout(
    serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve("leaving:Busy", "--workers", "1", "--graceful-timeout", "1", binds=[door])
    assert door.ask(b"hello") == b"hello"
    server.signal(SIGTERM)

    assert server.wait_exit() == 0


def test_child_of_a_handler_keeps_neither_port_nor_scoreboard(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    assert isinstance(door.address, tuple)
    inode = f"socket:[{door.inode}]"
    server = serve("leaving:Forking", "--workers", "1", binds=[door])
    child = int(door.ask(b"stay"))
    server.events.expect("child")
    held = {str(fd.readlink()) for fd in Path(f"/proc/{child}/fd").iterdir()}
    maps = Path(f"/proc/{child}/maps").read_text()

    assert inode not in held
    assert not [name for name in held if "forkful-scoreboard" in name]
    assert "forkful-scoreboard" not in maps
    server.events.let_through()
    gone(child)
    assert door.ask(b"stay")
    server.events.let_through()


def test_child_that_returns_into_the_worker_ends_there(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve("leaving:Forking", "--workers", "1", binds=[door])
    before = server.workers()
    gone(int(door.ask(b"return")))

    assert server.workers() == before
    assert server.metrics_at_rest().sum("forkful_requests_total", pool="main") == 1


def test_port_is_free_after_a_stop_while_a_child_lives_on(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = serve("leaving:Forking", "--workers", "1", "--bind", f"tcp://127.0.0.1:{port}", binds=[])
    with socket.create_connection(("127.0.0.1", port), 15) as client:
        client.sendall(b"stay")
        child = int(client.recv(100))
    server.signal(SIGTERM)
    assert server.wait_exit() == 0
    with socket.create_server(("127.0.0.1", port)):
        pass
    server.events.let_through()
    gone(child)
