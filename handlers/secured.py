"""What a server of the user's has put around its listening socket: TLS, which the shared socket then has too.

`httpd.socket = context.wrap_socket(httpd.socket, server_side=True)` is how `http.server` and `ssl` document it; others
do the same in `server_bind` or `server_activate`. Our own socket takes the place of theirs, so what theirs would have
done to a connection is noted here, and done by a step of the listener.
Can go wrong: a socket of a kind that we know nothing of: `LoadError` names it, for in its place would be plain text.
"""

import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forkful.handlers.load import LoadError

if TYPE_CHECKING:
    import ssl

_NOTE = "_forkful_tls"  # in the server's `__dict__`


@dataclass(frozen=True, slots=True)
class Tls:
    """What `SSLSocket.accept` does to a connection."""

    context: "ssl.SSLContext"
    suppress_ragged_eofs: bool


def note(text: str, server: Any, sock: object) -> None:  # Any: attributes of any server
    """Note what the socket that a server was made with does beyond accepting. Raises `LoadError`."""
    ssl = sys.modules.get("ssl")
    if ssl is not None and isinstance(sock, ssl.SSLSocket):
        if sock.context.protocol == ssl.PROTOCOL_TLS_CLIENT:
            raise LoadError(
                f"{text!r}: its listening socket is wrapped by an SSLContext for clients, which no handshake of a "
                "server can use: make one with ssl.PROTOCOL_TLS_SERVER"
            )
        server.__dict__[_NOTE] = Tls(sock.context, sock.suppress_ragged_eofs)
    elif sock is not None and getattr(type(sock), "accept", None) is not socket.socket.accept:
        kind = type(sock)
        raise LoadError(
            f"{text!r}: its socket is a {kind.__module__}.{kind.__qualname__}, which accepts in a way of its own: "
            "secure it with ssl.SSLContext.wrap_socket, or override get_request"
        )


def tls_of(server: object) -> Tls | None:
    """The TLS that connections of this server speak."""
    found: Tls | None = getattr(server, "__dict__", {}).get(_NOTE)
    return found
