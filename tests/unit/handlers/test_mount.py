"""An application below a path of its own, whatever the proxy in front does with that path."""

import pytest

from forkful.handlers.asgi import Receive, Scope, Send
from forkful.handlers.mount import mounted_asgi, mounted_wsgi
from forkful.handlers.wsgi import Environ, StartResponse
from tests.unit.worker.http.doors import AsgiDoor
from tests.unit.worker.http.wire import Client

PATHS = [("/app/x", "/x"), ("/x", "/x"), ("/app", ""), ("/app/", "/"), ("/application", "/application"), ("/", "/")]


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


@pytest.mark.parametrize(("path", "below"), PATHS)
def test_wsgi(path: str, below: str) -> None:
    seen = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.append((environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["RAW_URI"]))
        start_response("200 OK", [])
        return [b""]

    client = Client(mounted_wsgi(app, "/app"))
    for _ in range(4):  # also when it repeats
        client.say(request(path))

    assert seen == [("/app", below, path)] * 4


@pytest.mark.parametrize(("path", "below"), PATHS)
def test_asgi(path: str, below: str) -> None:
    seen = []

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        seen.append((scope["root_path"], scope["path"], scope["raw_path"]))
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    with AsgiDoor(mounted_asgi(app, "/app")) as door:
        for _ in range(4):
            door.hear(request(path))
            door.settle()

    assert seen == [("/app", f"/app{below}", f"/app{below}".encode())] * 4
