"""A listener: one shared socket as a worker sees it, and how this worker lets go of it.

The descriptor belongs to this process, the open file behind it to all that share the address. So a worker leaves by
putting a dead socket in place of its descriptor (`close`), which nobody else notices, while `O_NONBLOCK` (`empty`)
is a flag of the file and so is meant for all at once.
Can go wrong: a handler closed the socket itself; then there is nothing left to let go of.
"""

import os
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from forkful.conf.plan import PoolPlan
from forkful.handlers.secured import Tls, tls_of
from forkful.handlers.server import overridden
from forkful.worker.ipc.boot_error import BootError
from forkful.worker.net.address_words import in_words
from forkful.worker.net.answering_socket import AnsweringSocket, is_wildcard
from forkful.worker.net.listener_steps import Doorkeeper, doorkeeper, handshake, steps
from forkful.worker.net.peer_limits import PeerLimits
from forkful.worker.net.shortage import Shortage
from forkful.worker.net.steps import NO_STEPS, Steps
from forkful.worker.net.stillness import NO_LIMITS, StillLimits

if TYPE_CHECKING:
    from forkful.conf.tls import ServerContext

#: Hooks that are not a step of a request's life: without others, the direct way serves.
ASIDE = frozenset({"handle_error", "service_actions", "serve_forever", "shutdown", "server_close"})


def _dead() -> socket.socket:
    """A socket that neither listens nor is connected: accept(2) and recvfrom(2) give EINVAL at once, unix(7)."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


@dataclass(eq=False, slots=True)
class Listener:
    """`cell` counts on the scoreboard what was taken from it. Datagrams are answered through `reply`, which stays."""

    sock: socket.socket
    position: int  # in the assignment's list
    cell: int
    server: socketserver.BaseServer
    reply: socket.socket  # for datagrams a second descriptor, since a swap must not take a busy handler's answer
    hooks: frozenset[str] = frozenset()
    steps: Steps = NO_STEPS  # what a connection passes before it is served
    limits: StillLimits = NO_LIMITS  # how long a connection may be still
    refuses: Doorkeeper | None = None  # which datagrams are dropped; for connections there are steps
    dead: socket.socket = field(default_factory=_dead)  # made in time: a drain may find no descriptor left
    emptying: bool = False  # take what is in the queue, then close
    closed: threading.Event = field(default_factory=threading.Event)
    shortage: Shortage = field(default_factory=Shortage)

    @classmethod
    def of(  # noqa: PLR0913, PLR0917  # where a socket, a server and the settings meet
        cls,
        sock: socket.socket,
        position: int,
        cell: int,
        server: socketserver.BaseServer,
        plan: PoolPlan | None = None,
        limits: PeerLimits | None = None,
        context: "ServerContext | None" = None,
    ) -> "Listener":
        """Bring a socket and the server built around it together."""
        reply = sock
        if sock.type == socket.SOCK_DGRAM:
            reply = AnsweringSocket.on(os.dup(sock.fileno())) if is_wildcard(sock) else sock.dup()
            server.socket = reply  # type: ignore[attr-defined]  # declared by its subclasses
        listener = cls(sock, position, cell, server, reply, overridden(server))
        if plan is not None and listener.is_datagram:
            listener.refuses = doorkeeper(plan, limits)
        elif plan is not None:
            listener.steps = steps(plan, handshake(_tls(listener, context)), limits)
            listener.limits = StillLimits.of(plan)
        if "get_request" in listener.hooks:
            server.socket = sock  # type: ignore[attr-defined]  # what its own accept or recvfrom is called on
        return listener

    @property
    def is_direct(self) -> bool:
        """Whether what is taken goes straight to the handler: no step, and no hook of its server's, in between.

        And nobody looks whether its connections are still.
        """
        return not (self.hooks - ASIDE or self.steps or self.refuses or self.limits)

    @property
    def receive(self) -> Callable[[int], tuple[bytes, Any]]:  # Any: a peer's address
        """What a lane receives datagrams by. On every interface it is noted which address was asked."""
        return (
            partial(self.reply.take_from, self.sock) if isinstance(self.reply, AnsweringSocket) else self.sock.recvfrom
        )

    @property
    def is_datagram(self) -> bool:
        return self.sock.type == socket.SOCK_DGRAM

    def __str__(self) -> str:
        return in_words(self.server.server_address)

    def empty(self) -> None:
        """From now on nobody blocks on it: whoever finds the queue empty closes."""
        self.emptying = True
        if not self.closed.is_set() and self.sock.fileno() >= 0:
            os.set_blocking(self.sock.fileno(), False)

    def close(self) -> None:
        """Put a dead socket in its place, in this process. Again is harmless."""
        if self.closed.is_set() or self.sock.fileno() < 0:
            self.closed.set()
            return
        self.closed.set()  # first: a lane that is just about to take must know what the dead socket's error means
        os.dup2(self.dead.fileno(), self.sock.fileno(), inheritable=False)


def _tls(listener: Listener, context: "ServerContext | None") -> Tls | None:
    """What its connections are secured by: the address's, or the program's own."""
    own = tls_of(listener.server)
    if context is None:
        return own
    if own is not None:
        raise BootError(
            f"{listener} speaks TLS by its settings, and {type(listener.server).__qualname__} wraps its socket in TLS, "
            "too: leave out one of them"
        )
    return Tls(context, suppress_ragged_eofs=True)
