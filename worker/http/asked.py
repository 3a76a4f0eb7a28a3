"""A request in flight, as the log and stacks speak of it: of whom, what, and how it is answered."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from forkful.worker.eventloop.flight import Flight
from forkful.worker.http.access_log import request_line
from forkful.worker.http.compiler import mypyc_attr
from forkful.worker.ipc.scoreboard import REFUSED, TIMEOUT

if TYPE_CHECKING:
    from forkful.worker.http.http1 import HttpConnection
    from forkful.worker.http.request import Request


@mypyc_attr(allow_interpreted_subclasses=True)  # those of ASGI
class Asked(Flight):
    """One request. What only its interface knows, its subclasses add: `remote`, `field`, `variable`."""

    _answered: Iterable[tuple[Any, Any]] = ()  # Any: fields of the answer as the application gave them, unchecked
    _declared = -1  # length of its body as the head promised, -1: unknown
    _produced = 0  # bytes of the body so far
    _excess = False  # the application gave more than that

    def __init__(self, connection: "HttpConnection", request: "Request") -> None:
        self._connection = connection
        self._request = request

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
        """The client's address, as trusted proxies have it."""
        raise NotImplementedError

    def field(self, name: str) -> str:
        raise NotImplementedError

    def variable(self, name: str) -> str:  # noqa: ARG002
        """Of its environ, where its interface has one."""
        return ""

    def _cut_to(self, body: bytes) -> bytes:
        """What of a piece the head has promised. Where that is nothing, as with HEAD, it is no mistake."""
        if self._declared and not self._excess:
            what = f"the answer to {request_line(self)} is longer than its Content-Length, and is cut"
            self._connection.service.complain(self._connection, what)
        self._excess = True
        return body[: self._declared - self._produced]

    def answered_with(self, fields: Iterable[tuple[Any, Any]]) -> None:  # Any: as above
        self._answered = fields

    def answer_field(self, name: str) -> str:
        wanted = name.lower()
        return ", ".join(_text(value) for key, value in self._answered if _text(key).lower() == wanted)


def outcome_of(refusal: int) -> int:
    """What a request counts as that we refuse with this status."""
    return TIMEOUT if refusal == HTTPStatus.REQUEST_TIMEOUT else REFUSED


def _text(value: Any) -> str:  # Any: as above
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
