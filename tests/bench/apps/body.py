"""Bodies of any length: WSGI and ASGI applications that read all that they are sent, or answer `/N` with N bytes."""

from collections.abc import Callable, Iterator
from typing import Any

from tests.bench.apps.lifespan import Message, Receive, Send, live

BLOCK = bytes(65_536)


def _blocks(length: int) -> Iterator[bytes]:
    for _ in range(length // len(BLOCK)):
        yield BLOCK
    if rest := length % len(BLOCK):
        yield BLOCK[:rest]


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:  # Any: as PEP 3333 has it
    read = environ["wsgi.input"].read
    while read(len(BLOCK)):
        pass
    length = int(environ["PATH_INFO"].strip("/") or 0)
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(length))])
    return _blocks(length)


async def asgi(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    while (await receive()).get("more_body"):
        pass
    length = int(scope["path"].strip("/") or 0)
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for block in _blocks(length):
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body"})
