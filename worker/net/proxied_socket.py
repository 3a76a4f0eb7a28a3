"""A connection's socket that says what its PROXY header says, for handlers that ask it.

Can go wrong: nothing; what has no such header is as it was.
"""

from typing import Any

from forkful.handlers.proxied import ProxyHeader
from forkful.worker.net.counted_socket import AcceptedSocket


def show(sock: Any, header: ProxyHeader | None) -> None:  # Any: attributes of a class of another's
    """Give it `proxy_header`, and the addresses in that."""
    if isinstance(sock, AcceptedSocket):
        if header is not None:
            sock.said = header
        return
    sock.proxy_header = header  # what another step made of it, as TLS
    if header is not None and header.source is not None:
        sock.getpeername, sock.getsockname = lambda: header.source, lambda: header.destination
