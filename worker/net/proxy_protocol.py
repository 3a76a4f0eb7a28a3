"""The PROXY protocol, as a step: who the client is, and where it came in, is what the proxy in front says.

It is the first step, so limits by address, logs and handlers speak of that client, and TLS begins behind the header.
Nobody but `proxy_allow_from` is believed, for whoever is could be anybody. Not a byte behind the header is taken: what
tells whether there is one is only looked at (MSG_PEEK), and then read to its end.
Can go wrong: somebody else connects where a header is required; there is none, or a bad one; it does not come in time.
"""

import logging
import select
import socket
from collections.abc import Generator, Iterator
from typing import Any, Final

from forkful.handlers.proxied import ProxyHeader
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.address_words import in_words
from forkful.worker.net.proxy_header import (
    HEAD,
    LONGEST_V1,
    V2,
    MalformedError,
    Version,
    length_of,
    line_ends,
    read_v1,
    read_v2,
    version_of,
)
from forkful.worker.net.steps import Reason, Refused, Want
from forkful.worker.net.trust import Trust

logger = logging.getLogger("forkful.worker")

AUTO: Final = "auto"
_WANTED: Final = {
    "v1": frozenset({Version.V1}),
    "v2": frozenset({Version.V2}),
    AUTO: frozenset({Version.V1, Version.V2}),
}
_SHOWN: Final = 40  # bytes of a client's in a log line


class ProxyProtocol:
    """`mode` is what `proxy_protocol` says, but not "off"."""

    waits = True

    def __init__(self, mode: str, allow_from: str) -> None:
        self._wanted = _WANTED[mode]
        self._is_required = mode != AUTO
        self._trust = Trust.parse(allow_from.split(","))
        self._told = False

    def __call__(self, accepted: Accepted) -> Iterator[Want]:
        peer = accepted.peer
        if not self._trust.believes(peer[0] if isinstance(peer, tuple) else ""):
            if self._is_required:
                self._tell(peer)
                raise Refused(Reason.DENIED, "not in proxy_allow_from")
            return
        try:
            header = yield from self._read(accepted.sock)
        except MalformedError as error:
            logger.warning("refused %s: PROXY protocol: %s", in_words(peer), error)
            raise Refused(Reason.PROTOCOL, f"PROXY protocol: {error}") from None
        accepted.proxy_header = header
        if header is not None and header.source is not None:
            accepted.peer, accepted.local = header.source, header.destination

    def _tell(self, peer: Any) -> None:  # Any: an address of the socket module
        if not self._told:
            self._told = True
            logger.warning(
                "refused %s, which is not in proxy_allow_from: nobody else may say who the client is. Others are "
                "counted, and not told (forkful_refused_total)",
                in_words(peer),
            )

    def _read(self, sock: socket.socket) -> Generator[Want, None, ProxyHeader | None]:
        opening = yield from _opening(sock, self._wanted)
        match version_of(opening, self._wanted):
            case Version.V1:
                return read_v1((yield from _line(sock)))
            case Version.V2:
                head = yield from _exactly(sock, HEAD)
                return read_v2(head, (yield from _exactly(sock, length_of(head))))
        if not self._is_required:
            return None
        if not opening:
            raise Refused(Reason.GONE, "without a PROXY header")
        raise MalformedError(f"no header of a version that is asked for, but {opening[:_SHOWN]!r}")


def _opening(sock: socket.socket, wanted: frozenset[Version]) -> Generator[Want, None, bytes]:
    """The first bytes, as many as tell whether there is a header, or are all; they stay where they are."""
    waits_for_more = False
    while True:
        opening = yield from _peek(sock, len(V2))
        if version_of(opening, wanted) is not Version.PART or (_has_ended(sock) and opening == _now(sock, len(V2))):
            break
        if sock.family == socket.AF_UNIX:
            yield Want.MOMENT  # the kernel calls it readable already, and knows no other way here
            continue
        waits_for_more = True
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(opening) + 1)  # readable once more is there: tcp(7)
        yield Want.READ
    if waits_for_more:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    return opening


def _line(sock: socket.socket) -> Generator[Want, None, bytes]:
    """A line of version 1 with its end."""
    line = b""
    while True:
        ahead = yield from _peek(sock, LONGEST_V1 - len(line))
        end = ahead.find(b"\n") + 1
        line += sock.recv(end or len(ahead))
        if line_ends(line):
            return line
        if not ahead:
            raise MalformedError("its line is cut off")


def _exactly(sock: socket.socket, size: int) -> Generator[Want, None, bytes]:
    data = bytearray()
    while len(data) < size:
        try:
            piece = sock.recv(size - len(data))
        except BlockingIOError:
            yield Want.READ
            continue
        if not piece:
            raise MalformedError("it is cut off")
        data += piece
    return bytes(data)


def _peek(sock: socket.socket, size: int) -> Generator[Want, None, bytes]:
    while True:
        try:
            return sock.recv(size, socket.MSG_PEEK)
        except BlockingIOError:
            yield Want.READ


def _now(sock: socket.socket, size: int) -> bytes:
    try:
        return sock.recv(size, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


def _has_ended(sock: socket.socket) -> bool:
    """Whether the client will send no more, whatever is here still."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))
