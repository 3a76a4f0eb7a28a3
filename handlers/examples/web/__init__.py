"""A web server: the files of a folder, beside a WSGI and an ASGI application and a WebSocket, by prefix and by host.

    forkful serve forkful.handlers.examples.web:app                 # the site that comes with it
    forkful serve 'forkful.handlers.examples.web:site("/srv/www")'  # a folder of yours, with directory pages

Can go wrong: the folder is not there (`NotADirectoryError`: no worker starts); no Starlette: `forkful[examples]`.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from forkful.handlers.examples.web.files import Files as site  # noqa: N813  # in a command line it is a function
from forkful.handlers.wsgi import Environ, StartResponse


def page(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """WSGI: says where it is mounted, and who asked for what."""
    names = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_HOST", "REMOTE_ADDR")
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return ["".join(f"{name} = {environ.get(name, '')}\n" for name in names).encode("latin-1")]


async def now(_: Request) -> JSONResponse:
    return JSONResponse({"time": time.time(), "worker": os.getpid()})


async def clock(_: Request) -> StreamingResponse:
    """Server-sent events: the time, each second. When the worker leaves, the stream ends and browsers come again."""

    async def ticks() -> AsyncIterator[str]:
        while True:
            yield f"data: {time.strftime('%H:%M:%S')} by worker {os.getpid()}\n\n"
            await asyncio.sleep(1)

    return StreamingResponse(ticks(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def echo(socket: WebSocket) -> None:
    """A WebSocket. When its worker leaves, the server says goodbye with 1012, and the page comes again."""
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


api = GZipMiddleware(Starlette(routes=[Route("/", now), Route("/clock", clock)]))
#: One service of several applications. Take it for the beginning of your own.
app = Starlette(
    routes=[
        Host("api.localhost", api),  # by host: http://api.localhost:8000/
        Mount("/api", api),  # by prefix
        Mount("/wsgi", GZipMiddleware(WSGIMiddleware(page))),  # type: ignore[arg-type]  # it has types of ASGI of its own
        WebSocketRoute("/echo", echo),
        Mount("/", site(str(Path(__file__).with_name("site")))),
    ]
)
