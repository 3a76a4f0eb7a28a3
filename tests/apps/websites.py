"""A Django site with a database, files, streams and coroutines, the same in Flask, and one without a framework."""

import asyncio
import contextvars
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Who the request is of; what one request sets, no other may read while it goes on.
WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")
LOCAL = threading.local()
CLOSED: list[bool] = []  # for each file that was sent: whether `close()` ran in the thread of its view


def running() -> str:
    """Whether an event loop is running here."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "no loop"
    return "a loop"


async def _later() -> str:
    await asyncio.sleep(0)
    return "from a coroutine"


def pieces(who: str) -> Iterator[str]:
    """A stream that finds what it set, whatever others do meanwhile."""
    WHO.set(who)
    LOCAL.who = who
    gate = threading.Event()
    for number in range(20):
        gate.wait(0.01)
        yield f"{number}:{WHO.get() == who and LOCAL.who == who};"


def configure(database: str, urls: str = __name__) -> None:
    import django  # noqa: PLC0415  # each on its own
    from django.conf import settings  # noqa: PLC0415

    settings.configure(
        ROOT_URLCONF=urls,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="no secret",
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        INSTALLED_APPS=["django.contrib.sessions", "django.contrib.contenttypes", "django.contrib.auth"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        MIGRATION_MODULES={"sessions": None, "contenttypes": None, "auth": None},  # tables as the models are: quicker
        USE_TZ=True,
    )
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415  # once there are settings

    call_command("migrate", run_syncdb=True, verbosity=0)


def make_django() -> Any:
    """With the database that the test names."""
    from django.core.handlers.wsgi import WSGIHandler  # noqa: PLC0415
    from django.core.signals import request_finished  # noqa: PLC0415

    configure(os.environ["DATABASE"])
    request_finished.connect(_finished)
    return WSGIHandler()


def _finished(**_: object) -> None:
    if (began := getattr(LOCAL, "file", None)) is not None:
        CLOSED.append(began == threading.get_ident())
        LOCAL.file = None


def _urls() -> list[Any]:
    from django.contrib.auth.models import User  # noqa: PLC0415  # once there are settings
    from django.db import connection, transaction  # noqa: PLC0415
    from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse  # noqa: PLC0415
    from django.urls import path  # noqa: PLC0415

    def orm(request: HttpRequest) -> HttpResponse:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        name = request.GET["name"]
        with transaction.atomic():
            User.objects.create(username=name)
        return HttpResponse(f"{User.objects.filter(username=name).count()} {running()}")

    def session(request: HttpRequest) -> HttpResponse:
        request.session["count"] = request.session.get("count", 0) + 1
        return HttpResponse(str(request.session["count"]))

    async def coroutine(_: HttpRequest) -> HttpResponse:
        return HttpResponse(f"{await _later()} {await User.objects.acount() >= 0}")

    def run(_: HttpRequest) -> HttpResponse:
        return HttpResponse(asyncio.run(_later()))

    def stream(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(pieces(request.GET["who"]))

    def rows(_: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(f"{user.username};" for user in User.objects.order_by("id").iterator())

    def file(_: HttpRequest) -> FileResponse:
        LOCAL.file = threading.get_ident()
        return FileResponse(Path(__file__).open("rb"))

    def closed(_: HttpRequest) -> HttpResponse:
        return HttpResponse(str(CLOSED))

    def upload(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(len(request.FILES["f"].read())))

    views = {"orm": orm, "session": session, "async": coroutine, "run": run, "stream": stream, "rows": rows}
    views |= {"file": file, "closed": closed, "upload": upload}
    return [path(name, view) for name, view in views.items()]


def make_flask() -> Any:
    """With a database that was opened at import, as its tutorials have it."""
    from flask import Flask, Response, request, stream_with_context  # noqa: PLC0415

    app = Flask(__name__)
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute("CREATE TABLE users (name TEXT)")

    @app.get("/orm")
    def orm() -> str:
        database.execute("INSERT INTO users VALUES (?)", (request.args["name"],))
        (count,) = database.execute("SELECT count(*) FROM users WHERE name = ?", (request.args["name"],)).fetchone()
        return f"{count} {running()}"

    @app.get("/async")
    async def coroutine() -> str:
        return f"{await _later()} True"

    @app.get("/run")
    def run() -> str:
        return asyncio.run(_later())

    @app.get("/stream")
    def stream() -> Response:
        def told() -> Iterator[str]:
            for piece in pieces(request.args["who"]):
                yield piece if request.args["who"] == WHO.get() else "somebody else;"

        return Response(stream_with_context(told()))

    @app.post("/upload")
    def upload() -> str:
        return str(len(request.files["f"].read()))

    @app.post("/raw")
    def raw() -> str:
        return str(len(request.get_data()))

    return app


def make_noise() -> Any:
    """Files of a folder by whitenoise, in front of an application."""
    from whitenoise import WhiteNoise  # noqa: PLC0415  # each on its own

    return WhiteNoise(small, root=os.environ["STATIC"], prefix="static/", max_age=60)


def small(environ: dict[str, Any], start_response: Any) -> Any:
    """Says where it was asked, and how much was put."""
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {size}".encode()]


def hinting(environ: dict[str, Any], start_response: Any) -> Any:
    """Early hints, as Gunicorn's documentation has them."""
    environ["wsgi.early_hints"]([("Link", "</style.css>; rel=preload; as=style"), ("Link", "</app.js>; rel=preload")])
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def endless(environ: dict[str, Any], start_response: Any) -> Any:
    """Says how much was put; otherwise "/small" is small, and all else has no end."""
    if environ["REQUEST_METHOD"] == "PUT":
        size = len(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return [b"%d" % size]
    start_response("200 OK", [])
    return [b"small"] if environ["PATH_INFO"] == "/small" else iter(lambda: b"x" * 65_536, b"")


def __getattr__(name: str) -> Any:  # each application on its own, and Django's URLs once it is configured
    if name == "urlpatterns":
        return _urls()
    makers = {"django_app": make_django, "flask_app": make_flask, "noise_app": make_noise}
    if name not in makers:
        raise AttributeError(name)
    made = globals()[name] = makers[name]()
    return made
