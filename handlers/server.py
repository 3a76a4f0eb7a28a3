"""The server object that handlers know as `self.server`: a real one of `socketserver`, around the shared socket.

Can go wrong: a handler that does not fit its address (a stream handler on `udp:`), or a server class that cannot be
made without knowing more: `LoadError` says what would be right.
"""

import copy
import functools
import inspect
import logging
import socket
import socketserver
import sys
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from forkful.handlers import binding, secured
from forkful.handlers.binding import bound_nowhere, release, replay, was_never_bound
from forkful.handlers.kinds import DATAGRAM, Form, Served
from forkful.handlers.load import LoadError, call, describe, trim

#: What a subclass may override and have called, socketserver's documentation "Server Objects".
HOOKS = (
    "get_request",
    "verify_request",
    "process_request",
    "process_request_thread",
    "finish_request",
    "handle_error",
    "shutdown_request",
    "close_request",
    "service_actions",
    "serve_forever",
    "shutdown",
    "server_close",
)

logger = logging.getLogger("forkful.worker")

F = TypeVar("F", bound=Callable[..., Any])  # Any: whatever a method takes
Leave = Callable[[], object]


def build(served: Served, listeners: Sequence[socket.socket], leave: Leave) -> list[socketserver.BaseServer]:
    """One server for each listener, ready to be asked. `leave` is what their `shutdown()` does."""
    for listener in listeners:
        _check_kind(served, listener)
    if served.form in {Form.HANDLER, Form.CALLABLE}:
        servers = [_around(served, listener) for listener in listeners]
    else:
        made = served.target if served.form is Form.SERVER else _make(served, listeners[0])
        servers = [made, *(copy.copy(made) for _ in listeners[1:])]
    _ask_to_bind(servers[0])
    for server in servers:
        secured.note(served.text, server, getattr(servers[0], "socket", None))
    release(servers[0])
    for server, listener in zip(servers, listeners, strict=True):
        _move_in(server, listener)
        _adopt(server, leave)
    return servers


def overridden(server: socketserver.BaseServer) -> frozenset[str]:
    """The hooks that are not the standard library's own (nor ours), on the class or on the instance."""
    return frozenset(name for name in HOOKS if not _is_stock(server, name))


def is_plain(handler: Any) -> bool:
    """Whether making one of these only calls `handle()`: constructor, `setup` and `finish` are the stock ones."""
    base = socketserver.BaseRequestHandler
    return (
        type(handler) is type
        and issubclass(handler, base)
        and handler.__new__ is object.__new__
        and (handler.__init__, handler.setup, handler.finish) == (base.__init__, base.setup, base.finish)
    )


def serves_in_turn(server: socketserver.BaseServer, tell: Callable[[], object]) -> None:
    """`tell` if a lane stands for the threads that this server would start: now, or once it is seen to do so.

    One that starts threads in a `process_request` or a handler of its own needs no lanes for them.
    """
    if not isinstance(server, socketserver.ThreadingMixIn):
        return
    if all(_is_stock(server, name) for name in ("process_request", "process_request_thread")):
        tell()
    else:
        server.__dict__["_forkful_in_turn"] = tell


def _is_in_turn(server: object) -> None:
    if "_forkful_in_turn" in server.__dict__ and threading.current_thread() is threading.main_thread():
        server.__dict__.pop("_forkful_in_turn")()


def was_shut_down(server: socketserver.BaseServer) -> bool:
    """Whether a `shutdown` of the user's came to the standard one."""
    return "_forkful_shut_down" in server.__dict__


#: The standard library's own functions and ours, by identity: a decorated override bears the name of what it wraps.
_STOCK: dict[int, object] = {
    id(function): function
    for kind in vars(socketserver).values()
    if inspect.isclass(kind) and kind.__module__ == socketserver.__name__
    for function in vars(kind).values()
    if inspect.isfunction(function)
}


def stock(function: F) -> F:
    """Mark a method of ours: it stands for the standard library's, and is nobody's override."""
    _STOCK[id(function)] = function
    return function


stock(binding.serve_late)


def _is_stock(server: object, name: str) -> bool:
    found = getattr(server, name, None)
    if found is None:  # `process_request_thread`, where there are no threads
        return True
    function = getattr(found, "__func__", found)
    return id(function) in _STOCK and getattr(found, "__self__", server) is server


# -- making ----------------------------------------------------------------------------------------------------------


def _around(served: Served, listener: socket.socket) -> socketserver.BaseServer:
    """A stock server of the class that fits the socket, for a handler class or a plain callable."""
    handler: Any = served.target if served.form is Form.HANDLER else _adapter(served)  # Any: called like a class
    unix, datagram = listener.family == socket.AF_UNIX, listener.type == socket.SOCK_DGRAM
    kind: type[socketserver.TCPServer]
    if datagram:
        kind = socketserver.UnixDatagramServer if unix else socketserver.UDPServer
    elif _is_http(handler):
        kind = sys.modules["http.server"].HTTPServer
    else:
        kind = socketserver.UnixStreamServer if unix else socketserver.TCPServer
    return kind(listener.getsockname(), handler, bind_and_activate=False)


def _make(served: Served, listener: socket.socket) -> socketserver.BaseServer:
    """An instance of a server class, called with what its constructor wants: nothing, an address, or also a handler."""
    wanted = [
        parameter
        for parameter in inspect.signature(served.target).parameters.values()
        if parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
        and parameter.default is parameter.empty
    ]
    arguments: list[Any] = [listener.getsockname()]  # Any: an address and a class
    if len(wanted) > 1 and (handler := getattr(served.target, "RequestHandlerClass", None)):
        arguments.append(handler)
    if len(wanted) > len(arguments):
        missing = ", ".join(parameter.name for parameter in wanted[len(arguments) :])
        raise LoadError(
            f"{served.text!r} is a server class whose constructor also wants {missing}: "
            "name an instance, a function that makes one, or the handler class alone"
        )
    server: socketserver.BaseServer = call(served.text, served.target, *arguments[: len(wanted)])
    return server


def _check_kind(served: Served, listener: socket.socket) -> None:
    datagram = listener.type == socket.SOCK_DGRAM
    either = served.form is Form.HANDLER and not issubclass(
        served.target, socketserver.StreamRequestHandler | socketserver.DatagramRequestHandler
    )
    if not either and datagram != (served.kind == DATAGRAM):
        has, needs = ("datagrams", "tcp:// or unix://") if datagram else ("connections", "udp:// or unixgram://")
        raise LoadError(f"{served.text!r} is a {served.kind} handler, but its address carries {has}: write {needs}")


def _adapter(served: Served) -> Callable[..., object]:
    """A plain callable in the shape of a handler class: called with request, peer and server."""
    target = served.target
    if served.kind != DATAGRAM:
        return lambda request, peer, _server: target(request, peer)

    def answer(request: tuple[bytes, socket.socket], peer: Any, _server: object) -> None:  # Any: as of recvfrom
        reply = target(request[0], peer)
        if reply is not None and peer is not None:
            request[1].sendto(reply, peer)

    return answer


def _is_http(handler: object) -> bool:
    module = sys.modules.get("http.server")
    return module is not None and inspect.isclass(handler) and issubclass(handler, module.BaseHTTPRequestHandler)


def _ask_to_bind(server: Any) -> None:  # Any: attributes that typeshed declares by subclass
    """Have a server say what it wants of its socket, if it overrides how it binds and was made without binding."""
    if not was_never_bound(server) or all(_is_stock(server, name) for name in ("server_bind", "server_activate")):
        return
    with bound_nowhere():
        try:
            server.server_bind()
            server.server_activate()
        except Exception as error:
            raise LoadError(f"{type(server).__name__}.server_bind() failed: {describe(error)}", trim(error)) from error


# -- moving in -------------------------------------------------------------------------------------------------------


def _move_in(server: Any, listener: socket.socket) -> None:  # Any: attributes that typeshed declares by subclass
    for refused in replay(server.__dict__.get("_forkful_asked", ()), listener):
        logger.warning("%s asks for socket options that its shared socket refuses: %s", type(server).__name__, refused)
    if listener.family == socket.AF_UNIX and _is_http(_class_of(server.RequestHandlerClass)):
        server.RequestHandlerClass = _with_peer(server.RequestHandlerClass)
    server.socket = listener
    server.address_family = listener.family
    server.server_address = listener.getsockname()
    module = sys.modules.get("http.server")
    if module is not None and isinstance(server, module.HTTPServer):
        inet = listener.family != socket.AF_UNIX
        # HTTPServer asks DNS for the name; that may take half a minute and is nobody's need at boot.
        server.server_name, server.server_port = server.server_address[:2] if inet else ("localhost", 0)
        if server.server_name in {"0.0.0.0", "::"}:  # noqa: S104  # to compare with  # nosec B104
            server.server_name = socket.gethostname()
        if isinstance(environ := getattr(server, "base_environ", None), dict):  # wsgiref's, of its first address
            said = {"SERVER_NAME": server.server_name, "SERVER_PORT": str(server.server_port)}
            server.base_environ = {**environ, **said}


def _class_of(handler: object) -> object:
    """Of `partial(SimpleHTTPRequestHandler, directory=...)`, as the standard library has it."""
    return handler.func if isinstance(handler, functools.partial) else handler


def _with_peer(handler: Callable[..., object]) -> Callable[..., object]:
    """Handlers of `http.server` format their peer as HOST, PORT, and a client of a Unix socket has no name."""

    @functools.wraps(handler, updated=())
    def make(request: object, peer: object, server: object) -> object:
        return handler(request, peer or _LOCAL_PEER, server)

    return make


_LOCAL_PEER = ("local", 0)


class _AskedForOne(SystemExit):
    """Ends a loop around `handle_request()`: all that there was to serve has been."""


class _Guest(socketserver.BaseServer):
    """What a server may not do itself here. Stands right before `BaseServer`, so a subclass' `super()` meets it."""

    @stock
    def shutdown(self) -> None:
        self.__dict__["_forkful_shut_down"] = True
        self.__dict__["_forkful_leave"]()  # the standard one waits for a loop that does not run

    @stock
    def serve_forever(self, poll_interval: float = 0.5) -> None:  # noqa: ARG002  # the standard library's name
        serve = self.__dict__.get("_forkful_serve")
        if serve is None or threading.current_thread() is not threading.main_thread():
            raise RuntimeError("serve_forever(): forkful serves this server already")
        serve()

    def handle_request(self) -> None:
        _Guest.serve_forever(self)
        raise _AskedForOne


def serves_by(server: socketserver.BaseServer, serve: Callable[[], object]) -> bool:
    """Call the `serve_forever` of the user's, which comes to `serve` by `super()`; False if by `handle_request()`."""
    server.__dict__["_forkful_serve"] = serve
    try:
        server.serve_forever()
    except _AskedForOne:
        return False
    finally:
        del server.__dict__["_forkful_serve"]
    return True


class _InlineThreads(socketserver.ThreadingMixIn):
    """A lane is the thread: right before `ThreadingMixIn`, it serves in place, as that would in the thread."""

    @stock
    def process_request(self, request: Any, client_address: Any) -> None:  # Any: as of socketserver
        if _is_stock(self, "process_request_thread"):
            _is_in_turn(self)
            socketserver.BaseServer.process_request(self, request, client_address)  # type: ignore[arg-type]  # it is one
        else:
            self.process_request_thread(request, client_address)

    @stock
    def process_request_thread(self, request: Any, client_address: Any) -> None:  # Any: as above
        _is_in_turn(self)
        super().process_request_thread(request, client_address)


class _InlineForks(socketserver.ForkingMixIn):
    """A worker is the process: right before `ForkingMixIn`, it serves in place, and reaps nobody's children."""

    process_request = socketserver.BaseServer.process_request
    service_actions = socketserver.BaseServer.service_actions


_ALWAYS = threading.Event()
_ALWAYS.set()


def _adopt(server: Any, leave: Leave) -> None:  # Any: methods are replaced on the instance
    server.__dict__["_forkful_leave"] = leave
    if not server.__dict__.get("_BaseServer__is_shut_down", _ALWAYS).is_set():
        server.__dict__["_BaseServer__shutdown_request"] = True  # a thread of its own serves it: no more
    kind = type(server)
    bases: list[type] = [kind]
    if issubclass(kind, socketserver.ThreadingMixIn):
        bases.append(_InlineThreads)
    if issubclass(kind, socketserver.ForkingMixIn):
        bases.append(_InlineForks)
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    server.__class__ = types.new_class(kind.__name__, (*bases, _Guest), exec_body=lambda body: body.update(names))
    for name in ("serve_forever", "shutdown"):
        if _is_stock(server, name):
            setattr(server, name, types.MethodType(getattr(_Guest, name), server))
    if _is_stock(server, "server_close"):
        server.server_close = types.MethodType(_keep_open, server)


@stock
def _keep_open(self: socketserver.BaseServer) -> None:
    """Stands in for `server_close`: the socket belongs to the pool."""
