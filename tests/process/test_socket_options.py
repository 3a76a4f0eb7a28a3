"""Sockets' options, asked of the kernel: on every loop, after a reload without binding anew, and after an upgrade."""

import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.door import Door, door_of
from tests.kit.manager import starting_with
from tests.kit.server import Server
from tests.process.test_systemd import crash, start_with_store

#: Handlers on every loop there is, each with flags of its own.
HANDLERS = {
    "a lane": ("classic:LineHandler", ()),
    "a lane with steps": ("classic:LineHandler", ("--deny", "10.0.0.0/8")),
    "lanes": ("classic:LineHandler", ("--threads", "3")),
    "a coroutine": ("loops:echo", ()),
    "a coroutine with steps": ("loops:echo", ("--deny", "10.0.0.0/8")),
    "a coroutine on asyncio": ("loops:echo", ("--event-loop", "asyncio")),
    "a protocol": ("loops:Echo", ()),
    "a protocol on asyncio": ("loops:Echo", ("--event-loop", "asyncio")),
    "WSGI": ("wsgi:about", ("--interface", "wsgi")),
    "ASGI": ("asgi:echo", ("--interface", "asgi")),
    "ASGI on asyncio": ("asgi:echo", ("--interface", "asgi", "--event-loop", "asyncio")),
}
FLAGS = ("--keepalive-idle", "30", "--nodelay", "--receive-buffer", "100000", "--send-buffer", "150000")
KERNEL = {
    "keepalive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "idle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "nodelay": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "received": (socket.SOL_SOCKET, socket.SO_RCVBUF),
    "sent": (socket.SOL_SOCKET, socket.SO_SNDBUF),
}
SET = {"keepalive": 1, "idle": 30, "nodelay": 1, "received": 200_000, "sent": 300_000}


def shown(server: Server, client: socket.socket) -> dict[str, int]:
    """What the kernel says of the worker's end of a connection, once it has accepted it."""

    def accepted() -> socket.socket | None:
        (worker,) = server.workers().values()
        return processes.duplicate(worker, client.getpeername()[:2], client.getsockname()[:2])

    with server.wait_until(accepted, what="the worker's end of it") as sock:
        return {name: sock.getsockopt(*option) for name, option in KERNEL.items()}


@pytest.mark.parametrize("kind", HANDLERS)
def test_what_is_accepted_has_the_options_of_its_listener(
    kind: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    handler, flags = HANDLERS[kind]
    door = doors("tcp")
    server = serve(handler, *flags, *FLAGS, binds=[door])

    with door.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        assert shown(server, client) == SET


def config(url: str, lines: Sequence[str] = ()) -> str:
    return "\n".join(['[pool.main]\nhandler = "loops:echo"', f'bind = ["{url}"]', *lines, ""])


def listener(server: Server) -> socket.socket:
    """The master's own."""
    (url,) = server.listeners()
    found = processes.duplicate(server.pid, door_of(url).address)
    assert found is not None
    return found


SAID = ("keepalive_idle = 30", "nodelay = true", "receive_buffer = 100000", "send_buffer = 150000", "defer_accept = 2")


def test_a_reload_changes_options_of_the_very_socket_and_connections_keep_theirs(serve: Serve) -> None:
    server = serve(config=config("tcp://127.0.0.1:0"))
    door = door_of(server.listeners()[0])
    inodes = server.listening_inodes()
    with door.connect() as old:
        old.sendall(b"x")
        before = shown(server, old)
        (first,) = server.workers().values()

        server.configure(config("tcp://127.0.0.1:0", SAID))
        assert server.reload().returncode == 0
        end = processes.duplicate(first, old.getpeername(), old.getsockname())
        assert end is not None
        with end:
            assert end.getsockopt(*KERNEL["keepalive"]) == before["keepalive"] == 0
        assert server.listening_inodes() == inodes
        with door.connect() as new:
            new.sendall(b"x")
            assert shown(server, new) == SET
    server.usr2()
    with door.connect() as client, listener(server) as sock:
        client.sendall(b"x")
        assert shown(server, client) == SET
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) == 3
    server.configure(config("tcp://127.0.0.1:0"))
    assert server.reload().returncode == 0
    with door.connect() as client, listener(server) as sock:
        client.sendall(b"x")
        assert shown(server, client) | {"sent": 0} == before | {"sent": 0}, "the kernel finds its own size again"
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) == 0


def test_a_socket_handed_down_keeps_what_others_set_and_has_what_is_said(
    serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    assert door.listener is not None
    door.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000)
    door.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = serve("classic:LineHandler", "--keepalive-idle", "30", binds=[door])

    with door.connect() as client:
        found = shown(server, client)
        assert found == found | {"keepalive": 1, "idle": 30, "nodelay": 1, "received": 100_000}


def test_a_socket_from_the_managers_store_has_what_the_settings_say_now(serve: Serve) -> None:
    first = start_with_store(serve, config("tcp://127.0.0.1:0", SAID))
    sockets = crash(first)
    second = serve(
        binds=list(sockets.values()),
        config=config("tcp://127.0.0.1:0", ["keepalive_idle = 9"]),
        wrapper=starting_with(sockets),
    )

    with door_of(second.listeners()[0]).connect() as client:
        client.sendall(b"x")
        found = shown(second, client)
        assert found == found | {"keepalive": 1, "idle": 9, "received": KERNEL_OWN}
    with listener(second) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) == 0


with socket.socket() as _new:
    KERNEL_OWN: Any = _new.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)  # Any: as of typeshed


def test_a_scripts_own_socket_has_what_the_environment_says(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    server = serve(
        binds=[],
        script=[sys.executable, str(tmp_path / "script.py")],
        env={"FORKFUL_KEEPALIVE_IDLE": "30", "FORKFUL_NODELAY": "true", "FORKFUL_WORKERS": "1"},
    )

    with door_of(server.listeners()[0]).connect() as client:
        found = shown(server, client)
        assert found == found | {"keepalive": 1, "idle": 30, "nodelay": 1}


SCRIPT = """
from socketserver import StreamRequestHandler
from forkful.master import TCPServer

class Handler(StreamRequestHandler):
    def handle(self):
        self.rfile.readline()

with TCPServer(("127.0.0.1", 0), Handler) as server:
    server.serve_forever()
"""


def test_who_has_said_nothing_yet_is_taken_in_at_a_stop_within_drain_delay(serve: Serve) -> None:
    """The kernel asks him again after a second; left alone it would after some more, and then nobody is there."""
    text = config("tcp://127.0.0.1:0", ["defer_accept = 12"]) + "[master]\ndrain_delay = 5\n"
    server = serve(config=text)

    with door_of(server.listeners()[0]).connect() as client:
        server.signal(SIGTERM)
        accepted = "forkful_connections_accepted_total"
        server.wait_until(lambda: server.metrics().sum(accepted) == 1, what="his connection")
        client.sendall(b"am I too late")
        assert client.recv(100) == b"am I too late"
    assert server.wait_exit() == 0


def test_an_interface_that_is_not_there_fails_the_reload_and_nothing_changes(serve: Serve) -> None:
    server = serve(config=config("tcp://127.0.0.1:0"))
    server.configure(config("tcp://127.0.0.1:0", ['bind_device = "nosuch0"', "nodelay = true"]))

    result = server.reload()

    assert result.returncode != 0
    assert "there is no interface nosuch0" in result.stderr
    with listener(server) as sock:
        assert sock.getsockopt(*KERNEL["nodelay"]) == 0
