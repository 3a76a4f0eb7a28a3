"""What a browser is given: a page, a WebSocket and a stream of events by ASGI; a form with a file by Flask."""

import asyncio
import hashlib
import os
from typing import Any

from asgi import Message, Receive, Send, answer, lifespan  # type: ignore[import-not-found]  # beside this file

from forkful.handlers import draining

EACH = 3  # events of a worker before it waits for the end


async def page(scope: Message, receive: Receive, send: Send) -> None:
    """A page at "/", who serves at "/who", events at "/events"; a WebSocket says who serves and echoes."""
    match scope["type"], scope.get("path"):
        case "lifespan", _:
            await lifespan(receive, send)
        case "websocket", _:
            await chat(receive, send)
        case _, "/events" | "/endless" as path:
            await events(dict(scope["headers"]), send, polite=path == "/events")
        case _, "/who":
            await answer(send, b"%d" % os.getpid())
        case _:
            start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}
            await send(start)
            await send({"type": "http.response.body", "body": b"<!doctype html><title>A page</title>"})


async def chat(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": str(os.getpid())})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def events(headers: dict[bytes, bytes], send: Send, *, polite: bool) -> None:
    """So many events, numbered on from the last that the client has; the polite end when the worker drains."""
    leaving, loop = asyncio.Event(), asyncio.get_running_loop()
    if polite:
        draining().add_callback(lambda: loop.call_soon_threadsafe(leaving.set))
    fields = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"retry: 1\n\n", "more_body": True})
    first = int(headers.get(b"last-event-id", b"0")) + 1
    for number in range(first, first + EACH):
        event = b"id: %d\ndata: %d\n\n" % (number, os.getpid())
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await leaving.wait()
    await send({"type": "http.response.body"})


def _make_form() -> Any:
    from flask import Flask, request  # noqa: PLC0415  # the page does without it

    app = Flask(__name__)

    @app.get("/")
    def form() -> str:
        return (
            '<!doctype html><title>A form</title><form method="post" enctype="multipart/form-data">'
            '<input name="word"><input type="file" name="file" multiple></form>'
        )

    @app.post("/")
    def submit() -> dict[str, object]:
        files = [(file.filename, file.mimetype, _digest(file.read())) for file in request.files.getlist("file")]
        return {"word": request.form["word"], "files": files}

    @app.post("/digest/<int:number>")
    def digest(number: int) -> dict[str, object]:
        return {"number": number, "digest": _digest(request.get_data())}

    return app


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def __getattr__(name: str) -> Any:
    if name != "form":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _make_form()
