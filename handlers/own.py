"""Programs that accept for themselves: how they get the shared sockets, and what is said to those that did not ask.

    from forkful.handlers import draining, owns_loop

    @owns_loop
    async def serve(listeners):                       # or a plain function; it returns when it has drained
        async with websockets.serve(chat, sock=listeners[0]) as server:
            draining().add_callback(server.close)
            await server.wait_closed()

Can go wrong: the function takes no argument; it is told when it is decorated, as Python does, by a `TypeError`.
"""

import functools
import inspect
import socket
import socketserver
import threading
from collections.abc import Callable, Sequence
from typing import Any

Serve = Callable[[Sequence[socket.socket]], object]  # or what gives a coroutine

#: Methods by which objects accept for themselves: `asyncio.Server`, rpyc, pyftpdlib, aiosmtpd, gRPC, dnslib.
_FOREVER = ("serve_forever", "run_forever")
_START, _STOPS = "start", ("stop", "close", "shutdown", "wait_for_termination")
_LOOPS = frozenset({*_FOREVER, _START, "serve", "run"})


class OwnsLoop:
    """A function that is given the listening sockets, accepts on them for itself, and returns when it has drained."""

    def __init__(self, serve: Serve) -> None:
        try:
            inspect.signature(serve).bind([])
        except TypeError as error:
            raise TypeError(f"owns_loop: {serve!r} must take the list of listening sockets: {error}") from None
        functools.update_wrapper(self, serve)
        self.serve = serve

    def __call__(self, listeners: Sequence[socket.socket]) -> object:
        return self.serve(listeners)


def owns_loop(serve: Serve) -> OwnsLoop:
    """Decorate what takes the list of shared listening sockets, accepts for itself, and returns when it has drained.

    `draining()` tells it when. It stops accepting then (closing a socket closes this process's descriptor only),
    finishes what it has, and returns within `graceful_timeout`.
    """
    return OwnsLoop(serve)


def refusal(text: str, target: Any) -> str:  # Any: the user's object
    """What to say to an object that accepts for itself; "" if it does not look like one. Calls nothing of its."""
    inner = vars(target).get("server") if hasattr(target, "__dict__") and not inspect.isclass(target) else None
    if isinstance(inner, socketserver.BaseServer):
        serve = "have the call return that .server" if text.endswith(")") else f"serve {text}.server"
        return f"{text!r} is {_a(target)} that keeps a server of socketserver in .server: {serve}"
    owner = getattr(target, "__self__", None) if inspect.ismethod(target) else None
    if owner is not None and target.__name__ in _LOOPS and accepts_for_itself(owner):
        return f"{text!r} is the loop of {_a(owner)}, which accepts for itself. {_LINES}"
    if isinstance(owner, socketserver.BaseServer) and target.__name__ in _LOOPS:
        return f"{text!r} is the loop of a server of socketserver: serve {text.rpartition('.')[0]}"
    if accepts_for_itself(target):
        what = f"the class {target.__qualname__}" if inspect.isclass(target) else _a(target)
        return f"{text!r} is {what}, which accepts for itself. {_LINES}"
    return ""


def accepts_for_itself(target: Any) -> bool:  # Any: as above
    """Whether a class or an object has its own accept loop, judged by its methods. What can be called serves a call."""
    kind = target if inspect.isclass(target) else type(target)
    if issubclass(kind, socketserver.BaseServer | threading.Thread) or "__call__" in dir(kind):
        return False
    if any(callable(getattr(kind, name, None)) for name in _FOREVER):
        return True
    stops = any(callable(getattr(kind, name, None)) for name in _STOPS)
    return callable(getattr(kind, _START, None)) and stops


def _a(target: object) -> str:
    return f"an object of type {type(target).__qualname__}"


_LINES = (
    "Give it the shared sockets in a function of these lines, and serve that:\n"
    "    @forkful.handlers.owns_loop\n"
    "    def serve(listeners):  # or async def; listeners[0] is a listening socket, bound already\n"
    "        ...  # accept on it, until forkful.handlers.draining() is set; then finish and return"
)
