"""Brief connections: those of one listener that may be over before a transport of the loop's would pay.

Who has sent nothing yet is waited for by an epoll(7) of our own within the loop's, which costs one system call. Who has
sent a request that is the last of its connection is given a moment to have its answer.
Can go wrong: nothing here; a client that is gone is told to its protocol (`BriefTransport`).
"""

import asyncio
import select
import socket
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from forkful.worker.eventloop.brief_transport import BriefTransport

MOMENT: Final = 0.1  # seconds until who is not answered gets a transport of the loop's, which sees the client leave
_AT_ONCE: Final = 64  # that are received from in one turn
_ONCE: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT


@dataclass(frozen=True, slots=True)
class Manner:
    """How the connections of a service begin. Any: protocols of any kind, transports of either loop."""

    turns: int = 0  # of the loop that one has, after its first data, until it counts as one that stays
    isolated: bool = False  # each protocol is called in a context of its own
    is_last: Callable[[Any], bool] | None = None  # whether what came is the last request of its connection
    moved: Callable[[Any, BriefTransport, Any], object] | None = None  # told of the loop's transport: it need not ask
    handover: Callable[[Any], asyncio.BaseProtocol] = lambda protocol: protocol  # of what stands in for one: that one


class Briefs:
    """Those of one listener."""

    def __init__(self, loop: asyncio.AbstractEventLoop, manner: Manner, *, is_tcp: bool) -> None:
        self.loop = loop
        self.is_tcp = is_tcp
        self.moved, self.handover = manner.moved, manner.handover
        self._turns, self._isolated, self._is_last = manner.turns, manner.isolated, manner.is_last
        self._epoll = select.epoll()
        self._silent: dict[int, BriefTransport] = {}  # by descriptor
        self._over: list[tuple[BriefTransport, BaseException | None]] = []
        self._young: list[tuple[int, BriefTransport]] = []
        self._asked: dict[BriefTransport, float] = {}  # when each has had its moment
        self._told = self._looks = self._times = False
        loop.add_reader(self._epoll.fileno(), self._came)

    def begin(self, sock: socket.SocketType, peer: Any, protocol: asyncio.BaseProtocol) -> None:  # Any: an address
        brief = BriefTransport(self, sock, peer)
        if sock.gettimeout() is not None:  # `socket.setdefaulttimeout`, which would have us wait
            sock.setblocking(False)
        if self._isolated:
            brief.context = copy_context()
            brief.context.run(brief.begin, protocol)
        else:
            brief.begin(protocol)

    # -- as brief transports ask -------------------------------------------------------------------------------------

    def watch(self, brief: BriefTransport) -> None:
        """Nothing has come yet."""
        fd = brief.sock.fileno()
        self._silent[fd] = brief
        try:
            self._epoll.register(fd, _ONCE)
        except FileExistsError:
            self._epoll.modify(fd, _ONCE)

    def _came(self) -> None:
        with self:
            for fd, _ in self._epoll.poll(0, _AT_ONCE):
                brief = self._silent.pop(fd, None)
                if brief is None:
                    continue
                if brief.context is None:
                    brief.receive()
                else:
                    brief.context.run(brief.receive)

    def received(self, brief: BriefTransport, protocol: Any) -> None:  # Any: of any kind
        """It has had what came, and is open: shall it be moved?"""
        if self._is_last is not None and self._is_last(protocol):
            self._asked[brief] = monotonic() + MOMENT
            if not self._times:
                self._times = True
                self.loop.call_later(MOMENT, self._time)
        elif self._turns:
            self._young.append((self._turns, brief))
            if not self._looks:
                self._looks = True
                self.loop.call_soon(self._look)
        else:
            brief.move()

    def _look(self) -> None:
        young, self._young, self._looks = self._young, [], False
        for turns, brief in young:
            if brief.is_closing():
                continue
            if turns:
                self._young.append((turns - 1, brief))
            else:
                brief.move()
        if self._young:
            self._looks = True
            self.loop.call_soon(self._look)

    def _time(self) -> None:
        now = monotonic()
        due = [brief for brief, when in self._asked.items() if when <= now]
        for brief in due:
            del self._asked[brief]
            brief.move()
        self._times = bool(self._asked)
        if self._times:
            self.loop.call_later(max(0.0, next(iter(self._asked.values())) - now), self._time)

    def ended(self, brief: BriefTransport, error: BaseException | None) -> None:
        """Its protocol is told once nothing of it is running."""
        self._asked.pop(brief, None)
        self._over.append((brief, error))
        if not self._told:
            self._told = True
            self.loop.call_soon(self._bury)

    def _bury(self) -> None:
        over, self._over, self._told = self._over, [], False
        for brief, error in over:
            if self._silent:
                self._silent.pop(brief.sock.fileno(), None)
            try:
                if brief.context is None:
                    brief.bury(error)
                else:
                    brief.context.run(brief.bury, error)
            except Exception as raised:  # noqa: BLE001  # a protocol's
                self.loop.call_exception_handler({"message": "protocol.connection_lost() failed", "exception": raised})

    def __enter__(self) -> None:
        """Begin a batch: at its end those that are over are told, without another turn of the loop."""
        self._told = True

    def __exit__(self, *_: object) -> None:
        self._bury()
