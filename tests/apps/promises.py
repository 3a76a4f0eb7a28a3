"""Applications of Starlette and FastAPI that rely on what ASGI servers keep: contexts, ends of streams, long polls."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

_USER: ContextVar[str] = ContextVar("_USER", default="nobody")
_SERVICE: ContextVar[str] = ContextVar("_SERVICE", default="unknown")


def _tell(word: str) -> None:
    with open(os.environ["EVENTS"], "a") as events:  # noqa: PTH123  # a FIFO
        events.write(f"{word}\n")


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    _SERVICE.set("started")
    yield


async def _who(request: Request) -> Response:
    before = _USER.get()
    _USER.set(request.query_params.get("user", "?"))
    await request.body()
    return PlainTextResponse(f"{_SERVICE.get()} {before}")


async def _stream(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.sleep(3600)
        finally:
            _tell("finally")

    return StreamingResponse(pieces(), background=BackgroundTask(_tell, "background"))


async def _events(_: Request) -> Response:
    async def told() -> AsyncIterator[str]:
        try:
            yield "data: one\n\n"
            await asyncio.sleep(3600)
        finally:
            _tell("ended")

    return StreamingResponse(told(), media_type="text/event-stream")


async def _library(_: Request) -> Response:
    """The same by sse-starlette."""

    async def told() -> AsyncIterator[dict[str, str]]:
        try:
            yield {"data": "one"}
            await asyncio.sleep(3600)
        finally:
            _tell("ended")

    return EventSourceResponse(told())


async def _download(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.sleep(1.5)
        yield b"two"

    return StreamingResponse(pieces())


async def _poll(request: Request) -> Response:
    await asyncio.sleep(float(request.query_params["seconds"]))
    return PlainTextResponse("news")


async def _upload(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


app = Starlette(
    routes=[
        Route("/who", _who, methods=["GET", "POST"]),
        Route("/stream", _stream),
        Route("/poll", _poll),
        Route("/events", _events),
        Route("/library", _library),
        Route("/download", _download),
        Route("/upload", _upload, methods=["POST"]),
    ],
    lifespan=_lifespan,
)
