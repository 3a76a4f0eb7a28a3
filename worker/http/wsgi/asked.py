"""A request of a WSGI application, as the log and stacks speak of it.

Can go wrong: nothing; it only tells.
"""

from typing import TYPE_CHECKING, Any

from forkful.handlers.wsgi import Environ
from forkful.worker.eventloop.accounting import Flight
from forkful.worker.http.access_log import request_line

if TYPE_CHECKING:
    from forkful.worker.http.http1 import HttpConnection
    from forkful.worker.http.request import Request


class Asked(Flight):
    """Of whom, what, and with which fields."""

    _fields: Any = ()  # Any: of the answer, as the application gave them, unchecked

    def __init__(self, connection: "HttpConnection", request: "Request", environ: Environ) -> None:
        self._connection = connection
        self._request = request
        self.environ = environ

    @property
    def method(self) -> bytes:
        return self._request.line.method

    @property
    def target(self) -> bytes:
        return self._request.target

    @property
    def http11(self) -> bool:
        return self._request.fields.http11

    @property
    def head_only(self) -> bool:
        return self._request.line.method == b"HEAD"

    def __str__(self) -> str:
        return f"{request_line(self)} of {self._connection.peer()}"

    def remote(self) -> str:
        return str(self.environ.get("REMOTE_ADDR", ""))

    def field(self, name: str) -> str:
        key = name.upper().replace("-", "_")
        return str(self.environ.get(key if key.startswith("CONTENT_") else f"HTTP_{key}", ""))

    def answer_field(self, name: str) -> str:
        return ", ".join(str(value) for key, value in self._fields if key.lower() == name.lower())

    def variable(self, name: str) -> str:
        return str(self.environ.get(name, ""))
