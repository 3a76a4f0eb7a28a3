"""An accepted connection, as everything behind the listener asks for it: who it is, where it came in, and how secure.

It is one record on its way from accept(2) through the listener's steps (`net.steps`) to the handler. A step may change
what it says: a PROXY header names another peer, TLS puts another socket in its place. So who comes after a step asks
the record and never the socket.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from forkful.handlers.proxied import ProxyHeader

if TYPE_CHECKING:
    import ssl

    from forkful.worker.net.tls import Engine
    from forkful.worker.net.tls_outcome import Outcome


@dataclass(eq=False, slots=True)
class Accepted:
    """One connection. Any: addresses of the socket module have many shapes."""

    sock: socket.socket
    peer: Any
    since: int  # monotonic ns
    secure: bool = False  # what is written to the descriptor is not what the client reads
    tls: "ssl.SSLSocket | ssl.SSLObject | None" = None  # once it is agreed upon
    engine: "Engine | None" = None  # what encrypts, where the socket does not
    handshake: "Outcome | None" = None  # of TLS; None: none has begun
    _local: Any = None
    proxy_header: ProxyHeader | None = None  # what a proxy said of it, as `peer` and `local` have it already
    left: Callable[[], object] | None = None  # to be called when it is closed, whoever does that: it is counted

    @classmethod
    def now(cls, sock: socket.socket, peer: Any) -> "Accepted":
        """One that accept(2) has just returned."""
        return cls(sock, peer, monotonic_ns())

    @property
    def local(self) -> Any:
        """The address that the client connected to."""
        return self.sock.getsockname() if self._local is None else self._local

    @local.setter
    def local(self, address: Any) -> None:
        self._local = address

    @property
    def says_local(self) -> bool:
        """Whether a step has named another address than the socket's."""
        return self._local is not None

    @property
    def may_write_raw(self) -> bool:
        """Whether bytes for the client may go straight to the descriptor, as by sendfile(2)."""
        return not self.secure
