"""An HTTP client of one door, over TCP or a Unix socket, and load of HTTP requests that is counted.

Can go wrong: what `http.client` raises.
"""

import http.client
import socket
import threading
from collections.abc import Collection
from typing import Any, NamedTuple, Self

from tests.kit.door import Door
from tests.kit.load import Load, Outcome
from tests.kit.wait import PATIENCE


class _Connection(http.client.HTTPConnection):
    def __init__(self, door: Door, timeout: float) -> None:
        super().__init__("test", timeout=timeout)
        self._door = door

    def connect(self) -> None:
        self.sock: socket.socket | Any = self._door.connect(self.timeout or PATIENCE)
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the method that this one replaces


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    headers: http.client.HTTPMessage

    @property
    def text(self) -> str:
        return self.body.decode()


class Web:
    """One kept connection."""

    def __init__(self, door: Door, timeout: float = PATIENCE) -> None:
        self.connection = _Connection(door, timeout)

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body=body, headers=fields)
        response = self.connection.getresponse()
        return Answer(response.status, response.read(), response.headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def get(door: Door, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
    """One request on a connection of its own."""
    with Web(door) as web:
        return web.ask(path, method, body, **headers)


def talk(door: Door, raw: bytes) -> bytes:
    """Say these bytes, and return all that comes until the server ends."""
    with door.connect() as client:
        client.sendall(raw)
        return b"".join(iter(lambda: client.recv(65_536), b""))


class WebLoad(Load):
    """Requests to an echo application on kept connections.

    A connection that ends between two requests is opened anew, as every client of HTTP must (RFC 9112 section 9.3.1);
    one that ends with a request on it is a loss.
    """

    def __init__(
        self, door: Door, *, clients: int = 3, timeout: float = 10.0, may_lose: Collection[Outcome] = ()
    ) -> None:
        super().__init__(door, clients=clients, timeout=timeout, may_lose=may_lose)
        self._local = threading.local()
        self._kept: set[Web] = set()

    def _finish(self) -> None:
        super()._finish()
        for web in self._kept:
            web.connection.close()

    def _stream(self, payload: bytes) -> tuple[Outcome, str]:
        kept: Web | None = getattr(self._local, "web", None)
        web = kept or Web(self._door, self._timeout)
        self._local.web = None
        self._kept.add(web)
        try:
            answer = web.ask("/", "POST", payload)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            web.connection.close()
            return Outcome.RESET, f"{error!r} on a {'kept' if kept else 'new'} connection"
        except http.client.HTTPException as error:
            return Outcome.WRONG, repr(error)
        if answer.headers.get("Connection") == "close":
            web.connection.close()
            self._kept.discard(web)
        else:
            self._local.web = web
        return (Outcome.OK, "") if (answer.status, answer.body) == (200, payload) else (Outcome.WRONG, repr(answer))
