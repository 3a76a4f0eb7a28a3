"""A WSGI and an ASGI application that tell in JSON where and as whom they run, and what they heard of the client."""

import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any


def _here() -> dict[str, object]:
    return {
        "cwd": os.getcwd(),  # noqa: PTH109  # a text
        "user": os.getuid(),
        "groups": sorted({os.getgid(), *os.getgroups()}),
        "shop": os.environ.get("SHOP"),
        "path": "/nobody/has/this" in sys.path,
        "worker": os.getpid(),
    }


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    names = ("wsgi.url_scheme", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_METHOD", "wsgi.multithread")
    told = {name: environ.get(name) for name in names}
    body = json.dumps(_here() | told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(
    scope: dict[str, Any], _: Callable[[], Awaitable[Any]], send: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    assert scope["type"] == "http"
    body = json.dumps(_here() | {name: scope[name] for name in ("scheme", "path", "method")}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
