"""Crowds: many clients of one server that do next to nothing, held by this process.

Can go wrong: too few descriptors are allowed (getrlimit(2), RLIMIT_NOFILE): `CrowdError` says how many are wanted; the
server turns clients away or answers wrong: `CrowdError`.
"""

import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

from tests.bench.cores import load_core

PATIENCE = 30.0
SPARE = 200
GROUP = 100
BIND_ADDRESS_NO_PORT = 24  # linux/in.h; Python 3.11 has no name for it
PER_SOURCE = 5000  # connections from one address: fewer than it has ports for, ip_local_port_range
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: idle\r\n\r\n"
HEADS = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 4000
END = b"\r\n\r\nHello world\n"
BODIES = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"


class CrowdError(RuntimeError):
    """It could not be gathered."""


def allow(descriptors: int) -> None:
    """Make room for so many, here and in the servers that are started from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < descriptors + SPARE:
        raise CrowdError(f"needs {descriptors + SPARE} descriptors, `ulimit -Hn` is {hard}")
    if soft < descriptors + SPARE:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors + SPARE, hard))


@contextmanager
def idle(port: int, number: int) -> Iterator[None]:
    """So many connections, in hundreds, each with one request answered, that now stay and say nothing."""
    clients: list[socket.socket] = []
    with ExitStack() as stack:
        while len(clients) < number:  # in groups that no queue is too short for
            group = [stack.enter_context(_connect(port, len(clients) + index)) for index in range(GROUP)]
            clients += group
            for client in group:
                client.sendall(REQUEST)
            for client in group:
                _read_answer(client)
        yield
        for client in clients:
            client.setblocking(False)
            try:
                client.recv(1)
            except BlockingIOError:
                continue
            raise CrowdError("an idle client was turned out meanwhile")


def _read_answer(client: socket.socket) -> None:
    answer = b""
    while not answer.endswith(END):
        if not (data := client.recv(4096)):
            raise CrowdError(f"an idle client was not answered but with {answer!r}")
        answer += data


def _connect(port: int, index: int) -> socket.socket:
    """From one of several addresses, so that there are ports enough.

    The port is chosen by connect(2), IP_BIND_ADDRESS_NO_PORT of ip(7): bind(2) wants one that nobody uses.
    """
    client = socket.socket()
    client.settimeout(PATIENCE)
    client.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
    client.bind((f"127.0.0.{2 + index // PER_SOURCE}", 0))
    client.connect(("127.0.0.1", port))
    return client


@contextmanager
def sink() -> Iterator[int]:
    """The port of somebody who never listens to what is sent: for a crowd that is to be here and do nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=PER_SOURCE) as listener:
        yield listener.getsockname()[1]


class Slow:
    """Clients that send one byte per second each: half of them of a head, half of a body after its head.

    Who is turned out for it comes again.
    """

    def __init__(self, port: int, number: int, *, every: float = 1.0) -> None:
        self._port, self._number, self._every = port, number, every
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._clients: list[socket.socket] = []
        self._rest: list[bytes] = []
        self.returned = 0

    def __enter__(self) -> Self:
        for index in range(self._number):
            client, rest = self._arrive(index)
            self._clients.append(client)
            self._rest.append(rest)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        for client in self._clients:
            client.close()

    def _arrive(self, index: int) -> tuple[socket.socket, bytes]:
        client = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)
        first, rest = (HEADS[:1], HEADS[1:]) if index % 2 else (BODIES, b"x" * 1000)
        client.sendall(first)
        client.setblocking(False)
        return client, rest

    def _send(self) -> None:
        """A byte for each in turn, evenly over the second, on the load's core."""
        os.sched_setaffinity(0, {load_core()})  # of this thread alone
        began, sent = time.monotonic(), 0
        while not self._end.wait(max(0.0, began + sent * self._every / self._number - time.monotonic())):
            index = sent % self._number
            try:
                self._clients[index].send(self._rest[index][:1])
                self._rest[index] = self._rest[index][1:]
            except OSError:
                self._clients[index].close()
                self._clients[index], self._rest[index] = self._arrive(index)
                self.returned += 1
            sent += 1
