"""Answers of any size for clients who are slow to read them, by WSGI and by ASGI: in pieces, whole, from a file."""

import asyncio
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

BLOCK = b"x" * 65_536
PAUSE = 0.25


def pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // len(BLOCK)):
        yield BLOCK


def file(size: int) -> Path:
    """One of this size, in the folder that the test gives."""
    path = Path(os.environ["FOLDER"]) / f"file-{size}"
    if not path.exists():
        path.write_bytes(b"x" * size)
    return path


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    kind, size = environ["PATH_INFO"][1:], int(environ["QUERY_STRING"] or 0)
    write = start_response("200 OK", [])
    match kind:
        case "pieces":
            return pieces(size)
        case "written":
            for piece in pieces(size):
                write(piece)
            return []
        case "whole":
            return [b"x" * size]
        case "file":
            result: Iterable[bytes] = environ["wsgi.file_wrapper"](file(size).open("rb"))
            return result
        case "pause":
            threading.Event().wait(PAUSE)
    return [kind.encode()]


async def asgi(scope: Any, _: Any, send: Any) -> None:
    assert scope["type"] == "http"
    kind, size = scope["path"][1:], int(scope["query_string"] or 0)
    if kind == "trailed":
        await trailed(scope, send)
        return
    await send({"type": "http.response.start", "status": 200})
    match kind:
        case "pieces":
            for piece in pieces(size):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body"})
            return
        case "whole":
            await send({"type": "http.response.body", "body": b"x" * size})
            return
        case "file":
            await send({"type": "http.response.pathsend", "path": str(file(size))})
            return
        case "pause":
            await asyncio.sleep(PAUSE)
    await send({"type": "http.response.body", "body": kind.encode()})


async def trailed(scope: Any, send: Any) -> None:
    """With hints before the answer, and a sum behind it for those who take it."""
    takes = "http.response.trailers" in scope["extensions"]
    await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    await send({"type": "http.response.start", "status": 200, "trailers": takes})
    await send({"type": "http.response.body", "body": b"trailed"})
    if takes:
        await send({"type": "http.response.trailers", "headers": [(b"X-Sum", b"7")]})
