"""Sites for ASGI, as their frameworks' documentation has them: Django, FastAPI, Starlette with WebSockets and events.

They need what `websites` needs: DATABASE and STATIC.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

from websites import WHO, configure  # type: ignore[import-not-found]  # beside this file, as an operator has it


async def pieces(who: str) -> AsyncIterator[str]:
    """A stream that finds what it set, whatever others do meanwhile."""
    WHO.set(who)
    for number in range(20):
        await asyncio.sleep(0.005)
        yield f"{number}:{WHO.get() == who};"


def make_django() -> Any:
    from django.core.handlers.asgi import ASGIHandler  # noqa: PLC0415  # each on its own

    configure(os.environ["DATABASE"], __name__)
    return ASGIHandler()


def _urls() -> list[Any]:  # noqa: C901  # many small views
    from django.contrib.auth.models import User  # noqa: PLC0415  # once there are settings
    from django.db import IntegrityError, transaction  # noqa: PLC0415
    from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse  # noqa: PLC0415
    from django.urls import path  # noqa: PLC0415

    async def orm(request: HttpRequest) -> HttpResponse:
        name = request.GET["name"]
        await User.objects.acreate(username=name)
        return HttpResponse(f"{await User.objects.filter(username=name).acount()}")

    def sync(request: HttpRequest) -> HttpResponse:
        with transaction.atomic():
            User.objects.get_or_create(username=request.GET["name"])
        return HttpResponse(str(User.objects.filter(username=request.GET["name"]).count()))

    def undone(_: HttpRequest) -> HttpResponse:
        before = User.objects.count()
        try:
            with transaction.atomic():
                User.objects.create(username="twice")
                User.objects.create(username="twice")
        except IntegrityError:
            return HttpResponse(str(User.objects.count() == before))
        return HttpResponse("no error")

    async def session(request: HttpRequest) -> HttpResponse:
        count = await request.session.aget("count", 0) + 1
        await request.session.aset("count", count)
        return HttpResponse(str(count))

    async def stream(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(pieces(request.GET["who"]))

    async def rows(_: HttpRequest) -> StreamingHttpResponse:
        async def told() -> AsyncIterator[str]:
            async for user in User.objects.order_by("username").aiterator():
                yield f"{user.username};"

        return StreamingHttpResponse(told())

    def file(_: HttpRequest) -> FileResponse:
        return FileResponse((Path(os.environ["STATIC"]) / "big.bin").open("rb"))

    async def upload(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(sum(len(piece) for piece in request.FILES["f"].chunks())))

    async def gathered(_: HttpRequest) -> HttpResponse:
        counts = await asyncio.gather(*(User.objects.acount() for _ in range(5)))
        return HttpResponse(str(len(set(counts))))

    views = {"orm": orm, "sync": sync, "undone": undone, "session": session, "stream": stream, "rows": rows}
    views |= {"file": file, "upload": upload, "gathered": gathered}
    return [path(name, view) for name, view in views.items()]


def make_fastapi() -> Any:  # noqa: C901  # many small views
    from fastapi import BackgroundTasks, Depends, FastAPI, Request, WebSocket  # noqa: PLC0415  # each on its own
    from fastapi.middleware.cors import CORSMiddleware  # noqa: PLC0415
    from fastapi.middleware.gzip import GZipMiddleware  # noqa: PLC0415
    from fastapi.responses import FileResponse, StreamingResponse  # noqa: PLC0415
    from pydantic import BaseModel  # noqa: PLC0415

    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["https://a.test"], allow_methods=["*"])
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    done: list[str] = []

    @app.middleware("http")
    async def mark(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["X-Marked"] = request.url.path
        return response

    class Item(BaseModel):
        name: str
        price: float

    def opened() -> Iterator[str]:
        done.append("opened")
        yield "a resource"
        done.append("closed")

    @app.get("/items/{number}")
    def item(number: int, q: str = "none") -> dict[str, Any]:
        return {"number": number, "q": q}

    @app.post("/items")
    async def create(item: Item, tasks: BackgroundTasks, resource: Annotated[str, Depends(opened)]) -> dict[str, Any]:
        tasks.add_task(done.append, item.name)
        return {"total": item.price * 2, "with": resource}

    @app.get("/done")
    async def tell() -> list[str]:
        return done

    @app.get("/file")
    async def file() -> FileResponse:
        return FileResponse(Path(os.environ["STATIC"]) / "big.bin", headers={"ETag": "fixed", "Last-Modified": ""})

    @app.get("/stream")
    async def stream(who: str) -> StreamingResponse:
        return StreamingResponse(pieces(who))

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return sum([len(piece) async for piece in request.stream()])

    @app.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_json({"said": text})

    return app


def make_starlette() -> Any:
    from sse_starlette import EventSourceResponse  # noqa: PLC0415  # each on its own
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.responses import PlainTextResponse, RedirectResponse  # noqa: PLC0415
    from starlette.routing import Mount, Route, WebSocketRoute  # noqa: PLC0415
    from starlette.staticfiles import StaticFiles  # noqa: PLC0415

    async def echo(websocket: Any) -> None:
        await websocket.accept(subprotocol="chat", headers=[(b"x-room", b"7")])
        while (message := await websocket.receive())["type"] == "websocket.receive":
            if message.get("text") == "bye":
                await websocket.close(4001, "as you say")
                return
            await websocket.send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})

    async def deny(websocket: Any) -> None:
        await websocket.send_denial_response(PlainTextResponse("members only", 401))

    async def events(_: Any) -> Any:
        async def told() -> AsyncIterator[dict[str, str]]:
            for number in range(3):
                yield {"event": "tick", "data": str(number)}

        return EventSourceResponse(told())

    async def redirect(_: Any) -> Any:
        return RedirectResponse("/events")

    routes = [
        Mount("/static", StaticFiles(directory=os.environ["STATIC"])),
        Route("/events", events),
        Route("/redirect", redirect),
        WebSocketRoute("/echo", echo),
        WebSocketRoute("/deny", deny),
    ]
    return Starlette(routes=routes)


def __getattr__(name: str) -> Any:  # each application on its own, and Django's URLs once it is configured
    if name == "urlpatterns":
        return _urls()
    makers = {"django_app": make_django, "fastapi_app": make_fastapi, "starlette_app": make_starlette}
    if name not in makers:
        raise AttributeError(name)
    made = globals()[name] = makers[name]()
    return made
