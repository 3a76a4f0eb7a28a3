"""Applications that configure logging as Django, Alembic and libraries do; each request logs and may fail."""

import configparser
import io
import logging
import logging.config
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

_INI = """
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARNING
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic
[formatter_generic]
format = alembic: %(message)s
"""  # as `alembic init` writes it, but for alembic's own loggers


def _app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/fail":
        raise ValueError("as it was told")
    logging.getLogger("users.own").warning("a request came")
    start_response("200 OK", [])
    return [b"ok"]


def _dict_config() -> Any:
    logging.config.dictConfig({"version": 1})
    return _app


def _file_config() -> Any:
    parser = configparser.ConfigParser()
    parser.read_file(io.StringIO(_INI))
    logging.config.fileConfig(parser)
    return _app


def _library() -> Any:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("library: %(message)s"))
    logging.getLogger("users.own").addHandler(handler)
    return _app


def _starlette() -> Any:
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.responses import PlainTextResponse, Response  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        logging.basicConfig(format="mine: %(message)s", level=logging.WARNING)
        yield

    async def answer(_: Request) -> Response:
        logging.getLogger("users.own").warning("a request came")
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/", answer)], lifespan=lifespan)


def _django() -> Any:
    """In production, where its own handlers show nobody anything."""
    import django  # noqa: PLC0415
    from django.conf import settings  # noqa: PLC0415
    from django.core.handlers.wsgi import WSGIHandler  # noqa: PLC0415
    from django.http import HttpRequest, HttpResponse  # noqa: PLC0415
    from django.urls import path  # noqa: PLC0415

    def fail(_: HttpRequest) -> HttpResponse:
        raise ValueError("as it was told")

    urls = type("Urls", (), {"urlpatterns": [path("fail", fail)]})
    settings.configure(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], SECRET_KEY="no secret", MIDDLEWARE=[])
    django.setup()
    return WSGIHandler()


_MAKERS = {
    "plain": lambda: _app,
    "dict_config": _dict_config,
    "file_config": _file_config,
    "library": _library,
    "star": _starlette,
    "django": _django,
}


def __getattr__(name: str) -> Any:
    """Make only what is asked for."""
    if name not in _MAKERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _MAKERS[name]()
