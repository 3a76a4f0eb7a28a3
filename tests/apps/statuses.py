"""Applications that answer with the status that the path asks for, or raise; plain ones, and by frameworks."""

from collections.abc import Callable, Iterable
from typing import Any


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response(f"{int(environ['PATH_INFO'][1:])} As Asked", [])
    return [b""]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    status = int(scope["path"][1:])
    await receive()
    await send({"type": "http.response.start", "status": status})
    await send({"type": "http.response.body", "body": b""})


def _make_flask() -> Any:
    from flask import Flask  # noqa: PLC0415  # each on its own

    app = Flask(__name__)

    @app.get("/<status>")
    def answer(status: str) -> tuple[str, int]:
        return "", int(status)

    return app


def _make_starlette() -> Any:
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.responses import Response  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    async def answer(request: Request) -> Response:
        return Response(status_code=int(request.path_params["status"]))

    return Starlette(routes=[Route("/{status}", answer)])


_MAKERS = {"flask": _make_flask, "star": _make_starlette}


def __getattr__(name: str) -> Any:
    """Make only what is asked for."""
    if name not in _MAKERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _MAKERS[name]()
