"""A request of a WSGI application, as the log speaks of it: its environ knows."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from forkful.handlers.wsgi import Environ
from forkful.worker.http.asked import Asked

if TYPE_CHECKING:
    from forkful.worker.http.http1 import HttpConnection
    from forkful.worker.http.request import Request
    from forkful.worker.http.wsgi.caller import Caller


class Call(Asked):
    """One call of the application."""

    _service: "Caller"

    def __init__(self, connection: "HttpConnection", service: "Caller", request: "Request", environ: Environ) -> None:
        self._connection = connection  # what `Asked` would do, in one call less for each request
        self._request = request
        self._service = service
        self.environ = environ

    def remote(self) -> str:
        return str(self.environ.get("REMOTE_ADDR", ""))

    def field(self, name: str) -> str:
        key = name.upper().replace("-", "_")
        return str(self.environ.get(key if key.startswith("CONTENT_") else f"HTTP_{key}", ""))

    def variable(self, name: str) -> str:
        return str(self.environ.get(name, ""))


def length_if_alone(result: Iterable[bytes] | None, data: bytes) -> int:
    """PEP 3333: an iterable of length one gives the length of the body. -1: it is another's."""
    try:
        alone = len(result) == 1  # type: ignore[arg-type]  # most have no length
    except (TypeError, AttributeError):
        return -1
    return len(data) if alone else -1
