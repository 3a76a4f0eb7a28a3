"""Hello by Starlette, as its documentation has it."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def _hello(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("Hello world\n")


starlette = Starlette(routes=[Route("/", _hello)])
