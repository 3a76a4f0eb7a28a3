"""A call of an ASGI application, for one request or one WebSocket: what it asks of its service, and what the log says.

Can go wrong: nothing; what an application raises is told apart here.
"""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from forkful.handlers.asgi import Application, Lifespan, Scope
from forkful.worker.http.asked import Asked
from forkful.worker.http.wire import Guest, Keeper
from forkful.worker.net.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from forkful.worker.eventloop.accounting import Accounting
    from forkful.worker.http.access_log import Access
    from forkful.worker.http.http1 import HttpConnection
    from forkful.worker.http.request import Request

_SAY_SO: Final = frozenset({"ClientDisconnect", "WebSocketDisconnect"})  # Starlette's, when told of a disconnect
_STATUS: Final = {code.value: f"{code.value} {code.phrase}" for code in HTTPStatus}


class Farewelled(Protocol):
    """What wants to say goodbye when the worker drains."""

    def drain(self) -> None: ...


class Spawner(Keeper, Protocol):
    """A service with an ASGI application."""

    app: Application
    trust: Trust
    lifespan: Lifespan
    connections: set[Guest]
    lasting: set[Farewelled]  # WebSockets and event streams
    draining: bool
    ending: bool
    held: int  # bytes that all WebSockets hold for their applications
    tasks: "set[asyncio.Task[None]]"
    loop: asyncio.AbstractEventLoop
    accounting: "Accounting"
    access: "Access | None"

    def failed(self, connection: Guest, error: BaseException, what: str, request: str, /) -> None: ...

    def spawn(self, coroutine: "Coroutine[Any, Any, None]", /, *, at_once: bool = True) -> "asyncio.Task[None]": ...


class Call(Asked):
    """One call of the application."""

    _service: Spawner

    def __init__(self, connection: "HttpConnection", service: Spawner, request: "Request", scope: Scope) -> None:
        super().__init__(connection, request)
        self._service = service
        self._scope = scope

    def remote(self) -> str:
        client = self._scope.get("client")
        return str(client[0]) if client else ""

    def field(self, name: str) -> str:
        return field_of(self._request, name)


def field_of(request: "Request", name: str) -> str:
    """A field as text, several lines of it joined by commas; "": it is not there."""
    wanted = name.lower().encode("latin-1", "replace")
    return ",".join(value.decode("latin-1") for key, value in request.fields.form if key == wanted)


def is_about_client(error: BaseException | None) -> bool:
    """Whether this comes from what `send` raised, or from what we said: frameworks have exceptions of their own."""
    while error is not None:
        if isinstance(error, OSError | asyncio.CancelledError) or type(error).__name__ in _SAY_SO:
            return True
        error = error.__cause__ or error.__context__
    return False


def status_line(status: int) -> str:
    return _STATUS.get(status) or f"{int(status)} Status"
