"""What requests are told of the listener they came by."""

import socket
from pathlib import Path

from forkful.handlers.asgi import Scope
from forkful.handlers.wsgi import Environ, StartResponse
from forkful.worker.net.local_address import LocalAddress
from tests.unit.worker.http.doors import AsgiDoor
from tests.unit.worker.http.wire import Client


def unix_door(folder: Path) -> LocalAddress:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / "s"))
        return LocalAddress.of(sock)


def test_a_unix_socket_has_a_path(tmp_path: Path) -> None:
    door = unix_door(tmp_path)

    assert (door.port, door.path, door.scheme) == (0, str(tmp_path / "s"), "http")
    assert door.name == socket.gethostname()


def test_an_environ_has_a_port_also_where_there_is_none(tmp_path: Path) -> None:
    """PEP 3333: SERVER_NAME and SERVER_PORT can never be empty, and a URL is made of them."""
    environ: Environ = {}

    def app(seen: Environ, start_response: StartResponse) -> list[bytes]:
        environ.update(seen)
        start_response("200 OK", [])
        return [b""]

    client = Client(app)
    client.make = client.service.maker(unix_door(tmp_path))
    client.connect(None)
    client.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (socket.gethostname(), "80")


def test_a_scope_has_the_path_of_a_unix_socket(tmp_path: Path) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, *_: object) -> None:
        seen.append(scope)

    with AsgiDoor() as door:
        door.service.app = app
        connection = door.service.maker(unix_door(tmp_path))()
        door.transport.connection, door.transport.address = connection, ""
        connection.connection_made(door.transport)
        door.hear(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        door.settle()

    assert [(scope["server"], scope["client"]) for scope in seen] == [((str(tmp_path / "s"), None), None)]
