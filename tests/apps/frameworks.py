"""The same small site in Flask, Django (WSGI and ASGI), and one in Starlette, as their documentation has it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any


def _pieces() -> Iterator[str]:
    yield from ("one", "two", "three")


def _make_flask() -> Any:
    from flask import Flask, Response, request  # noqa: PLC0415  # each on its own

    app = Flask(__name__)

    @app.get("/hello/<name>")
    def hello(name: str) -> str:
        return f"hello {name}"

    @app.post("/form")
    def form() -> str:
        return f"a={request.form['a']} b={request.form['b']}"

    @app.get("/stream")
    def stream() -> Response:
        return Response(_pieces(), mimetype="text/plain")

    return app


def _make_django(*, asynchronous: bool) -> Any:
    import django  # noqa: PLC0415
    from django.conf import settings  # noqa: PLC0415
    from django.core.handlers.asgi import ASGIHandler  # noqa: PLC0415
    from django.core.handlers.wsgi import WSGIHandler  # noqa: PLC0415
    from django.http import HttpRequest, HttpResponse, StreamingHttpResponse  # noqa: PLC0415
    from django.urls import path  # noqa: PLC0415

    def hello(_: HttpRequest, name: str) -> HttpResponse:
        return HttpResponse(f"hello {name}")

    def form(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"a={request.POST['a']} b={request.POST['b']}")

    async def slowly() -> AsyncIterator[str]:
        for piece in _pieces():
            yield piece

    def stream(_: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(slowly() if asynchronous else _pieces())

    urls = type("Urls", (), {"urlpatterns": [path("hello/<name>", hello), path("form", form), path("stream", stream)]})
    settings.configure(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], SECRET_KEY="no secret", MIDDLEWARE=[])
    django.setup()
    return ASGIHandler() if asynchronous else WSGIHandler()


def _make_starlette() -> Any:
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.responses import JSONResponse, PlainTextResponse, Response  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, bool]]:
        yield {"started": True}

    async def state(request: Request) -> Response:
        return JSONResponse({"started": request.state.started, "query": dict(request.query_params)})

    async def upload(request: Request) -> Response:
        return PlainTextResponse(str(sum([len(piece) async for piece in request.stream()])))

    routes = [Route("/state", state), Route("/upload", upload, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


_MAKERS = {
    "flask": _make_flask,
    "django_wsgi": lambda: _make_django(asynchronous=False),
    "django_asgi": lambda: _make_django(asynchronous=True),
    "star": _make_starlette,
}


def __getattr__(name: str) -> Any:
    """Make only what is asked for."""
    if name not in _MAKERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _MAKERS[name]()
