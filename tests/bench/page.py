"""A page of the admin child, fetched over its Unix socket."""

import http.client
import socket
from dataclasses import dataclass

PATIENCE = 120.0  # a reload that is waited for, on a busy machine


@dataclass(frozen=True, slots=True)
class Page:
    """What it answered."""

    status: int
    body: bytes


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._path)


def fetch(path: str, target: str, method: str = "GET") -> Page:
    """GET `target` from the Unix socket at `path`; or POST it."""
    connection = _Connection(path)
    try:
        connection.request(method, target)
        answer = connection.getresponse()
        return Page(answer.status, answer.read())
    finally:
        connection.close()
