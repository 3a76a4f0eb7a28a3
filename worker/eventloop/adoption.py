"""The adoption of an accepted socket by an event loop, which makes a transport for it, without a task of its own.

Can go wrong: the peer is gone already, so that no transport can be made: the socket is closed.
"""

import asyncio
import socket
from typing import Any


def adopt(loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol, sock: socket.socket) -> None:
    """Make a transport for an accepted socket: what `connect_accepted_socket` waits for is the call of
    `connection_made`, which needs no waiting of ours."""
    coroutine: Any = loop.connect_accepted_socket(lambda: protocol, sock)  # Any: driven by hand, as a task would
    try:
        waiter = coroutine.send(None)
    except StopIteration:
        return
    waiter._asyncio_future_blocking = False  # noqa: SLF001  # the agreement between futures and who drives them
    waiter.add_done_callback(lambda _: _finish(coroutine, sock))


def _finish(coroutine: Any, sock: socket.socket) -> None:  # Any: as above
    try:
        coroutine.send(None)
    except StopIteration:
        return
    except Exception:  # noqa: BLE001  # the transport could not be made: the peer is gone already
        sock.close()
