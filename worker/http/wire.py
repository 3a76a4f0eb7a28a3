"""What a connection, its service and what answers its requests ask of each other.

    HttpConnection (http1)  reads requests off the wire and hands each to its gateway
    Gateway                 knows an application's interface: reads fields as that has them, opens an exchange
    Exchange                one request and its answer

These are promises.
"""

import asyncio
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from forkful.worker.http.budget import Budget
    from forkful.worker.http.http1 import HttpConnection
    from forkful.worker.http.limits import Limits
    from forkful.worker.http.request import Fields, Request
    from forkful.worker.http.response import Stamp


class Phase(IntEnum):
    """Where a connection is: what its next bytes are. The order is that of a request's life, and is relied on."""

    IDLE = 0  # nothing of the next request
    HEAD = 1  # a part of its head
    BODY = 2  # its body
    BUSY = 3  # the request is whole and is being answered; more bytes are the next one's
    LINGER = 4  # answered for the last time: what still comes is dropped
    CLOSED = 5


# As names of this module, since one is compared with every piece that comes.
IDLE, HEAD, BODY, BUSY, LINGER, CLOSED = Phase

BEHIND: Final = 65_536  # bytes that may wait behind the request being answered before we stop reading


class Subject(Protocol):
    """Of whom the log speaks: a request, or what there is of one that was refused."""

    @property
    def method(self) -> bytes: ...

    @property
    def target(self) -> bytes: ...

    @property
    def http11(self) -> bool: ...

    def remote(self) -> str:
        """The client's address, as trusted proxies have it where they say so."""
        ...

    def field(self, name: str, /) -> str:
        """A field of the request, or ""."""
        ...

    def answer_field(self, name: str, /) -> str:
        """A field of the application's answer, or ""."""
        ...

    def variable(self, name: str, /) -> str:
        """A variable of the request's environ, or ""."""
        ...


class Exchange(Subject, Protocol):
    """One request and its answer, as its connection sees it. All of this is called in the loop."""

    @property
    def started(self) -> bool:
        """Whether a part of the answer may be on its way, so that there is none of ours in its place."""
        ...

    def begin(self) -> None:
        """The head is whole. From here on it answers: `HttpConnection.answered` is its last word."""
        ...

    def feed(self, piece: bytes, /) -> None:
        """A piece of the body. May raise `Refused`."""
        ...

    def end_of_body(self) -> None:
        """The request is whole."""
        ...

    def invite(self) -> None:
        """The client asked whether it may send the body (RFC 9110 section 10.1.1)."""
        ...

    def hang_up(self) -> bool:
        """The client has closed its side and may still listen; whether the answer goes on."""
        ...

    def resume(self) -> None:
        """The client reads again: there is room."""
        ...

    def file_sent(self, error: BaseException | None, /) -> None:
        """The file that it had its connection send is sent, or what of it could be."""
        ...

    def refused(self, code: int, /) -> bool:
        """The rest of the body is not taken, and we answer in its place; whether it counts and logs that at its end."""
        ...

    def disconnect(self) -> None:
        """The client is gone, or was refused in the middle of its body: nothing more comes, nothing more goes."""
        ...


class Gateway(Protocol):
    """What is behind a listener: an application's interface."""

    def read_fields(self, block: bytes, fields: "Fields", /) -> None:
        """Take in the fields of a head, lines without the last end; llhttp has passed them. May raise `Refused`."""
        ...

    def open(self, connection: "HttpConnection", request: "Request", /) -> "Exchange | None":
        """An exchange for a request whose head is good; None: the connection is another protocol's from here on."""
        ...


class Guest(Protocol):
    """What a service asks of a connection: one of HTTP's, or what took over from it."""

    transport: asyncio.Transport
    received: int  # bytes
    sent: int
    accounted: tuple[int, int]  # those that are on the scoreboard

    def overdue(self, now: int, /) -> int: ...

    def peer(self) -> str: ...


class Keeper(Protocol):
    """What a connection asks of the service that it belongs to."""

    limits: "Limits"
    harmless: int
    most_lines: int
    stamp: "Stamp"
    loop: asyncio.AbstractEventLoop
    answers: "Budget"  # what waits for clients
    closing: bool  # answers are the last of their connections
    leaving: int  # since when the worker leaves (monotonic ns), 0: it does not

    def opened(self, connection: Guest, /) -> None: ...

    def closed(self, connection: Guest, /) -> None: ...

    def refused(self, connection: Guest, subject: Subject, code: int, why: str, /) -> None: ...

    def complain(self, connection: Guest, what: str, /) -> None: ...
