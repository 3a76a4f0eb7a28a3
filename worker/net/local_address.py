"""A listener as requests see it: what becomes SERVER_NAME and SERVER_PORT, or ASGI's `server`."""

import socket
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """`port` is 0 for a Unix socket, whose name is the machine's and which has a `path`."""

    name: str
    port: int
    scheme: str = "http"
    path: str = ""

    @property
    def is_any(self) -> bool:
        """Whether it is every interface's, so that only a connection knows where it came in."""
        return self.name in ("0.0.0.0", "::")  # noqa: S104  # nothing is bound here  # nosec B104

    @classmethod
    def of(cls, sock: socket.socket, *, secure: bool = False) -> Self:
        """From the listening socket."""
        name = sock.getsockname()
        if not isinstance(name, tuple):
            return cls(socket.gethostname(), 0, path=str(name))
        return cls(str(name[0]), int(name[1]), "https" if secure else "http")
