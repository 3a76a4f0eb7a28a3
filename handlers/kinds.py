"""Kinds: what an object that was loaded is, and so how it is served.

Can go wrong: it is nothing that can be served, or it could be two things (`def f(a, b)`): `LoadError` says how to
tell us which.
"""

import inspect
import socket
import socketserver
import sys
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any

from forkful.handlers.load import LoadError, call
from forkful.handlers.own import OwnsLoop, refusal


class Form(Enum):
    """What it is."""

    HANDLER = "a request handler class"
    SERVER = "a server"
    SERVER_CLASS = "a server class"
    CALLABLE = "a callable"
    COROUTINE = "a coroutine function"
    PROTOCOL = "a protocol factory"
    WSGI = "a WSGI application"
    ASGI = "an ASGI application"
    OWN = "a program with a loop of its own"


STREAM, DATAGRAM, HTTP = "stream", "datagram", "http"
ASYNC = frozenset({Form.COROUTINE, Form.PROTOCOL, Form.WSGI, Form.ASGI})  # served by the event loop

_HTTP_SCHEMES = frozenset({"http", "https", "http+unix"})
_DATAGRAM_SCHEMES = frozenset({"udp", "unixgram"})
_STREAM_SCHEMES = frozenset({"tcp", "tls", "unix"})

# How people call the parameters of a plain callable, where nothing but the names can tell what it is for.
ENVIRON = frozenset({"environ", "env", "environment"})
CONNECTION = frozenset({"sock", "socket", "conn", "connection", "client", "client_socket", "request", "s", "c"})
PACKET = frozenset({"data", "datagram", "packet", "payload", "message", "msg", "body", "buffer"})


@dataclass(frozen=True, slots=True)
class Served:
    """A handler that is understood. `kind` is "stream", "datagram" or "http": the socket that a bare HOST:PORT gets."""

    text: str
    form: Form
    kind: str
    target: Any  # Any: the user's object; `form` says what may be done with it


def classify(
    text: str,
    target: Any,  # Any: the user's object
    *,
    schemes: Collection[str] = (),
    interface: str = "auto",
) -> Served:
    """Say what `target` is. `schemes` are those of the pool's addresses; they decide where the object cannot.

    `interface` "wsgi" or "asgi" decides it for any callable that takes something.
    """
    if isinstance(target, OwnsLoop):
        datagram = bool(schemes) and _DATAGRAM_SCHEMES.issuperset(schemes)
        return Served(text, Form.OWN, DATAGRAM if datagram else STREAM, target)
    if isinstance(target, socketserver.BaseServer):
        return Served(text, Form.SERVER, _server_kind(target), target)
    if inspect.isclass(target):
        return _class(text, target, schemes, interface)
    if _is_protocol(target):
        return Served(text, Form.PROTOCOL, _protocol_kind(type(target)), lambda: target)
    if no := refusal(text, target):
        raise LoadError(no)
    if not callable(target):
        raise LoadError(f"{text!r} is {_a(target)}, which is neither a handler class nor a server nor callable")
    return _callable(text, target, schemes, interface)


def _class(text: str, target: type, schemes: Collection[str], interface: str) -> Served:
    if issubclass(target, socketserver.BaseRequestHandler):
        datagram = issubclass(target, socketserver.DatagramRequestHandler)
        if not datagram and not issubclass(target, socketserver.StreamRequestHandler):
            datagram = bool(schemes) and _DATAGRAM_SCHEMES.issuperset(schemes)
        return Served(text, Form.HANDLER, DATAGRAM if datagram else STREAM, target)
    if issubclass(target, socketserver.BaseServer):
        return Served(text, Form.SERVER_CLASS, _server_kind(target), target)
    if _is_protocol(target):
        return Served(text, Form.PROTOCOL, _protocol_kind(target), target)
    names = _parameters(target) or ("",)
    if names[0] not in CONNECTION | ENVIRON | PACKET and (no := refusal(text, target)):
        raise LoadError(no)
    return _callable(
        text, target, schemes, interface
    )  # a class whose instances serve: Handler(sock, address), App(environ, start)


def _callable(text: str, target: Any, schemes: Collection[str], interface: str) -> Served:
    names = _parameters(target)
    if names is not None and len(names) == 0:
        made = _made(text, target)
        if _is_protocol(made):
            return Served(text, Form.PROTOCOL, _protocol_kind(type(made)), target)
        return classify(text, made, schemes=schemes, interface=interface)
    if interface != "auto":
        return Served(text, Form[interface.upper()], HTTP, target)
    if names == ("scope",):
        raise LoadError(
            f"{text!r} is an ASGI 2 application; serve asgiref.compatibility.guarantee_single_callable of it"
        )
    if names is not None and len(names) == 1:
        raise LoadError(
            f"{text!r} takes one argument; a handler takes two, (sock, address) or (data, address), a WSGI application "
            "(environ, start_response), an ASGI application (scope, receive, send); one that accepts for itself on the "
            "list of listening sockets is decorated with forkful.handlers.owns_loop"
        )
    form = _form(target, names)
    if names is None and form is Form.COROUTINE and schemes and _HTTP_SCHEMES.issuperset(schemes):
        form = Form.ASGI
    if form is Form.CALLABLE:
        return _plain(text, target, names or (), schemes)
    return Served(text, form, STREAM if form is Form.COROUTINE else HTTP, target)


def _made(text: str, factory: Any) -> Any:  # Any: the user's objects
    """What a factory makes: a server, a protocol, or what can be called to serve."""
    if _is_coroutine(factory):
        raise LoadError(
            f"{text!r} is a coroutine function without parameters: one that serves a connection takes (reader, "
            "writer), one that accepts for itself (listeners), decorated with forkful.handlers.owns_loop"
        )
    made = call(text, factory)
    if _is_protocol(made):
        return made
    if no := refusal(f"{text}()", made):
        raise LoadError(no)
    if not isinstance(made, socketserver.BaseServer) and not callable(made):
        raise LoadError(f"{text!r} takes no argument and made {_a(made)}, not a server, protocol or handler")
    if _parameters(made) == () and not isinstance(made, socketserver.BaseServer):
        raise LoadError(f"{text!r}: a factory of a factory; write {text}()")
    return made


def _form(target: Any, names: tuple[str, ...] | None) -> Form:
    asynchronous = any(map(_is_coroutine, (target, getattr(target, "__call__", None))))  # noqa: B004
    if names is None:
        return Form.COROUTINE if asynchronous else Form.CALLABLE
    if len(names) == len(("scope", "receive", "send")) or names[:1] == ("scope",):
        return Form.ASGI
    if asynchronous or names == ("reader", "writer"):
        return Form.COROUTINE
    if names[0] in ENVIRON or names[1].startswith("start"):
        return Form.WSGI
    return Form.CALLABLE


def _is_coroutine(target: Any) -> bool:  # Any: as above
    """Also when it is decorated by a function that only returns what it returns."""
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(inspect.unwrap(target))


def _plain(text: str, target: Any, names: tuple[str, ...], schemes: Collection[str]) -> Served:
    if schemes and _HTTP_SCHEMES.issuperset(schemes):
        return Served(text, Form.WSGI, HTTP, target)
    if schemes and _DATAGRAM_SCHEMES.issuperset(schemes):
        return Served(text, Form.CALLABLE, DATAGRAM, target)
    if schemes and _STREAM_SCHEMES.issuperset(schemes):
        return Served(text, Form.CALLABLE, STREAM, target)
    first = names[0] if names else ""
    if first in CONNECTION:
        return Served(text, Form.CALLABLE, STREAM, target)
    if first in PACKET:
        return Served(text, Form.CALLABLE, DATAGRAM, target)
    raise LoadError(
        f"{text!r} is a callable whose parameters ({', '.join(names)}) do not tell what it serves: write the address "
        "as tcp://HOST:PORT for handle(sock, address), udp://HOST:PORT for handle(data, address), or http://HOST:PORT "
        "for a WSGI application; or say --interface wsgi or asgi"
    )


def _parameters(target: Any) -> tuple[str, ...] | None:
    """The names of the positional parameters without default; None where that cannot be known (built in C)."""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return None
    wanted = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = tuple(p.name for p in signature.parameters.values() if p.kind in wanted and p.default is p.empty)
    if not names and any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values()):
        return None  # (*args): a decorated function that hides what it takes
    return names


def _server_kind(server: Any) -> str:
    return DATAGRAM if getattr(server, "socket_type", socket.SOCK_STREAM) == socket.SOCK_DGRAM else STREAM


def _is_protocol(target: object) -> bool:
    asyncio = sys.modules.get("asyncio")  # not imported here (40 ms, 11 MB): without it there can be no protocol
    if asyncio is None:
        return False
    base: type = asyncio.BaseProtocol
    return issubclass(target, base) if inspect.isclass(target) else isinstance(target, base)


def _protocol_kind(protocol: type) -> str:
    return DATAGRAM if issubclass(protocol, sys.modules["asyncio"].DatagramProtocol) else STREAM


def _a(target: object) -> str:
    return f"an object of type {type(target).__qualname__}"
