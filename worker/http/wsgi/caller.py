"""What a call of a WSGI application asks of the service that it belongs to.

These are promises.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from forkful.handlers.wsgi import Application
from forkful.worker.http.wire import Guest, Keeper

if TYPE_CHECKING:
    import threading

    from forkful.worker.eventloop.accounting import Accounting
    from forkful.worker.http.access_log import Access
    from forkful.worker.http.budget import Budget
    from forkful.worker.http.wsgi.exchange import WsgiExchange


class Caller(Keeper, Protocol):
    """A service with a WSGI application and threads that call it. `waiting` are those for whose client one waits."""

    app: Application
    accounting: "Accounting"
    access: "Access | None"
    budget: "Budget"
    waiting: "set[WsgiExchange]"

    def put(self, exchange: "WsgiExchange", /) -> None:
        """Have a thread `serve` this. For the loop."""
        ...

    def post(self, call: Callable[[Any], None], argument: Any, /) -> None:  # Any: what the call takes
        """Have the loop do this. For a thread."""
        ...

    def room(self) -> "threading.Event":
        """What a thread waits for its client with."""
        ...

    def failed(self, connection: Guest, error: BaseException, what: str, request: str, /) -> None: ...
