"""A short answer, and one of 1 MB, by WSGI and by ASGI."""

from collections.abc import Callable
from typing import Any

from tests.bench.apps.lifespan import Message, Receive, Send, live

BODY = bytes(1_000_000)


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:  # Any: as PEP 3333 has it
    body = BODY if environ["PATH_INFO"] == "/body" else b"Hello world\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    body = BODY if scope["path"] == "/body" else b"Hello world\n"
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
