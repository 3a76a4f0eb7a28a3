"""`reuse_port`: the port is shared with others, and a queue survives its worker all the same, since the master has it.

Beside plain servers with SO_REUSEPORT, each with a queue of its own, which dies with it.
"""

import contextlib
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from signal import SIGCONT, SIGKILL, SIGSTOP

from tests.conftest import Serve
from tests.kit.door import Door, door_of
from tests.kit.server import Server

CLIENTS = 40
#: socketserver's own echo, as its documentation has it, with the port shared.
PLAIN = """
import socket, socketserver, sys

class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(1024))

class Server(socketserver.TCPServer):
    request_queue_size = 100
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

with Server(("127.0.0.1", int(sys.argv[1])), Echo) as server:
    print("listens", flush=True)
    server.serve_forever()
"""


@contextlib.contextmanager
def waiting(door: Door) -> Iterator[list[socket.socket]]:
    """Clients whose connections are in a queue, with what they have said."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(door.connect()) for _ in range(CLIENTS)]
        for client in clients:
            client.sendall(b"is anybody there")
        yield clients


def outcomes(clients: list[socket.socket]) -> Counter[str]:
    found = Counter[str]()
    for client in clients:
        try:
            found["answered" if client.recv(100) == b"is anybody there" else "ended"] += 1
        except ConnectionResetError:
            found["reset"] += 1
    return found


def config(port: int = 0) -> str:
    return f'[pool.main]\nhandler = "classic:EchoHandler"\nbind = ["tcp://127.0.0.1:{port}"]\nreuse_port = true\n'


def test_who_waits_in_the_queue_of_a_killed_worker_is_answered_by_the_next_one(serve: Serve) -> None:
    server = serve(config=config())
    (worker,) = server.workers().values()
    os.kill(worker, SIGSTOP)

    with waiting(door_of(server.listeners()[0])) as clients:
        server.kill(worker)
        found = outcomes(clients)

    # One may have been taken by the worker in the moment it was stopped.
    assert found["answered"] >= CLIENTS - 1
    assert found["answered"] + found["reset"] == CLIENTS


def test_two_services_share_a_port_and_each_keeps_its_queue_when_its_worker_is_killed(serve: Serve) -> None:
    first = serve(config=config())
    door = door_of(first.listeners()[0])
    assert isinstance(door.address, tuple)
    second = serve(config=config(door.address[1]))
    workers = [(server, pid) for server in (first, second) for pid in server.workers().values()]
    for _, pid in workers:
        os.kill(pid, SIGSTOP)

    with waiting(door) as clients:
        for server, pid in workers:
            server.kill(pid)
        found = outcomes(clients)
    assert found["answered"] >= CLIENTS - 2
    assert _served(first) > 0
    assert _served(second) > 0


def _served(server: Server) -> float:
    return server.metrics_at_rest().sum("forkful_connections_accepted_total")


def test_plain_servers_that_share_a_port_lose_the_queue_of_the_one_that_is_killed() -> None:
    """The oracle: without a master who keeps the sockets, who waits in a queue is reset with it."""
    with contextlib.ExitStack() as stack:
        keeper = stack.enter_context(socket.socket())  # of the port: it does not listen, so nobody comes to it
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeper.bind(("127.0.0.1", 0))
        door = Door(socket.AF_INET, socket.SOCK_STREAM, keeper.getsockname())
        port = str(keeper.getsockname()[1])
        servers = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", PLAIN, port], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            )
            for _ in range(2)
        ]
        for server in servers:
            stack.callback(server.kill)
            assert server.stdout is not None
            assert server.stdout.readline() == b"listens\n"
            server.send_signal(SIGSTOP)
        with waiting(door) as clients:
            servers[0].send_signal(SIGKILL)
            servers[1].send_signal(SIGCONT)
            found = outcomes(clients)

    assert found["reset"] > 1, "some of them waited at the one that is gone"
    assert found["answered"] > 1
