"""Kinds: what an object is, and so how it is served."""

import asyncio
import functools
import http.server
import socketserver
from collections.abc import Callable
from typing import Any

import pytest

from forkful.handlers import binding, owns_loop
from forkful.handlers.kinds import DATAGRAM, HTTP, STREAM, Form, classify
from forkful.handlers.load import LoadError


async def coroutine(reader: object, writer: object) -> None: ...
async def asgi(scope: object, receive: object, send: object) -> None: ...
def wsgi(environ: object, start_response: object) -> None: ...
def asgi2(scope: object) -> None: ...
def decorated(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def wrapper(*args: object) -> object:
        return function(*args)

    return wrapper


def on_streams(reader: object, writer: object) -> object: ...
def on_connection(sock: object, address: object) -> None: ...
def on_datagram(data: object, address: object) -> None: ...
def unclear(a: object, b: object) -> None: ...
def one(a: object) -> None: ...


class WsgiClass:
    def __init__(self, environ: object, start_response: object) -> None: ...


class WsgiObject:
    def __call__(self, environ: object, start_response: object) -> None: ...


class AsgiObject:
    async def __call__(self, scope: object, receive: object, send: object) -> None: ...


class Rpc:
    """Like rpyc's and aiosmtpd's: made with what it serves, started, stopped. Making one would bind."""

    def __init__(self, service: object) -> None:
        raise AssertionError("nothing is called just to be refused")

    def start(self) -> None: ...
    def close(self) -> None: ...


class Ftp(Rpc):
    def __init__(self, address: object, handler: object) -> None: ...
    def serve_forever(self) -> None: ...


class Nameserver:
    """Like dnslib's."""

    def __init__(self) -> None:
        self.server = make_server()

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Session:
    """Serves one connection, in its constructor, and happens to have such methods too."""

    def __init__(self, sock: object, address: object) -> None: ...
    def start(self) -> None: ...
    def close(self) -> None: ...


async def runs_alone() -> None:
    raise AssertionError("nothing is called just to be refused")


class Streamed(asyncio.Protocol):
    def start(self) -> None: ...
    def close(self) -> None: ...


class Packets(asyncio.DatagramProtocol): ...


@functools.cache
def server(kind: type[socketserver.BaseServer]) -> socketserver.BaseServer:
    with binding.late_binding():
        made = kind(("127.0.0.1", 0), socketserver.BaseRequestHandler)
    made.server_close()
    return made


def make_server() -> socketserver.BaseServer:
    return server(socketserver.ThreadingUDPServer)


def make_streamed() -> Streamed:
    return Streamed()


def make_packets() -> Packets:
    return Packets()


def make_app() -> Callable[..., object]:
    return wsgi


def hidden(*args: object) -> None: ...
async def hidden_coroutine(*args: object) -> None: ...


KINDS: dict[str, tuple[Any, Form, str]] = {
    "a handler class": (socketserver.BaseRequestHandler, Form.HANDLER, STREAM),
    "a stream handler class": (socketserver.StreamRequestHandler, Form.HANDLER, STREAM),
    "a datagram handler class": (socketserver.DatagramRequestHandler, Form.HANDLER, DATAGRAM),
    "a web handler class": (http.server.SimpleHTTPRequestHandler, Form.HANDLER, STREAM),
    "a server": (server(socketserver.TCPServer), Form.SERVER, STREAM),
    "a datagram server": (server(socketserver.UDPServer), Form.SERVER, DATAGRAM),
    "a server class": (socketserver.ThreadingTCPServer, Form.SERVER_CLASS, STREAM),
    "a datagram server class": (socketserver.UnixDatagramServer, Form.SERVER_CLASS, DATAGRAM),
    "a factory of a server": (make_server, Form.SERVER, DATAGRAM),
    "a coroutine function": (coroutine, Form.COROUTINE, STREAM),
    "a partial coroutine function": (functools.partial(coroutine), Form.COROUTINE, STREAM),
    "a decorated coroutine function": (decorated(coroutine), Form.COROUTINE, STREAM),
    "a function that returns a coroutine": (on_streams, Form.COROUTINE, STREAM),
    "a decorated WSGI function": (decorated(wsgi), Form.WSGI, HTTP),
    "a decorated ASGI function": (decorated(asgi), Form.ASGI, HTTP),
    "a protocol class": (Streamed, Form.PROTOCOL, STREAM),
    "a datagram protocol class": (Packets, Form.PROTOCOL, DATAGRAM),
    "a protocol factory": (make_streamed, Form.PROTOCOL, STREAM),
    "a datagram protocol factory": (make_packets, Form.PROTOCOL, DATAGRAM),
    "a WSGI function": (wsgi, Form.WSGI, HTTP),
    "a WSGI class": (WsgiClass, Form.WSGI, HTTP),
    "a WSGI object": (WsgiObject(), Form.WSGI, HTTP),
    "a WSGI factory": (make_app, Form.WSGI, HTTP),
    "an ASGI function": (asgi, Form.ASGI, HTTP),
    "an ASGI object": (AsgiObject(), Form.ASGI, HTTP),
    "a program with a loop of its own": (owns_loop(one), Form.OWN, STREAM),
    "a factory of such a program": (lambda: owns_loop(one), Form.OWN, STREAM),
    "a class for connections": (Session, Form.CALLABLE, STREAM),
    "a callable for connections": (on_connection, Form.CALLABLE, STREAM),
    "a callable for datagrams": (on_datagram, Form.CALLABLE, DATAGRAM),
}


@pytest.mark.parametrize("case", KINDS)
def test_an_object_is_classified(case: str) -> None:
    target, form, kind = KINDS[case]
    served = classify("app:it", target)
    assert (served.form, served.kind) == (form, kind)


BY_SCHEME: dict[str, tuple[Any, str, Form, str]] = {
    "an unclear callable on tcp": (unclear, "tcp", Form.CALLABLE, STREAM),
    "an unclear callable on udp": (unclear, "udp", Form.CALLABLE, DATAGRAM),
    "an unclear callable on http": (unclear, "http", Form.WSGI, HTTP),
    "a callable that hides its parameters, on unix": (hidden, "unix", Form.CALLABLE, STREAM),
    "a coroutine that hides its parameters, on http": (hidden_coroutine, "http", Form.ASGI, HTTP),
    "one that does not, on http": (coroutine, "http", Form.COROUTINE, STREAM),
    "the same on tcp": (hidden_coroutine, "tcp", Form.COROUTINE, STREAM),
    "a plain handler class on udp": (socketserver.BaseRequestHandler, "udp", Form.HANDLER, DATAGRAM),
    "a WSGI application on tcp": (wsgi, "tcp", Form.WSGI, HTTP),
    "a program with a loop of its own on udp": (owns_loop(one), "udp", Form.OWN, DATAGRAM),
    "a name that lies": (on_datagram, "tcp", Form.CALLABLE, STREAM),
}


@pytest.mark.parametrize("case", BY_SCHEME)
def test_the_address_decides_where_the_object_cannot(case: str) -> None:
    target, scheme, form, kind = BY_SCHEME[case]
    served = classify("app:it", target, schemes={scheme})
    assert (served.form, served.kind) == (form, kind)


@pytest.mark.parametrize("target", [hidden, unclear, one, wsgi, asgi, WsgiObject(), WsgiClass])
def test_the_operator_decides_where_nobody_else_can(target: Any) -> None:
    for interface, form in (("wsgi", Form.WSGI), ("asgi", Form.ASGI)):
        for schemes in ((), {"http"}, {"tcp"}):
            served = classify("app:it", target, schemes=schemes, interface=interface)
            assert (served.form, served.kind) == (form, HTTP)


def test_the_operator_speaks_of_what_a_factory_makes() -> None:
    served = classify("app:it", lambda: hidden, interface="asgi")
    assert (served.form, served.target) == (Form.ASGI, hidden)


UNSERVABLE: dict[str, tuple[Any, str]] = {
    "a number": (5, "an object of type int, which is neither"),
    "an unclear callable": (unclear, "parameters (a, b) do not tell what it serves: write the address as tcp://"),
    "too few parameters": (one, "takes one argument; a handler takes two"),
    "one argument of three": (
        one,
        "a WSGI application (environ, start_response), an ASGI application (scope, receive,",
    ),
    "an ASGI 2 application": (asgi2, "serve asgiref.compatibility.guarantee_single_callable of it"),
    "a class that accepts for itself": (Rpc, "is the class Rpc, which accepts for itself. Give it the shared sockets"),
    "another": (Ftp, "@forkful.handlers.owns_loop"),
    "an object that accepts for itself": (Ftp(1, 2), "is an object of type Ftp, which accepts for itself"),
    "its loop": (Ftp(1, 2).serve_forever, "is the loop of an object of type Ftp, which accepts for itself"),
    "a function that makes one": (lambda: Ftp(1, 2), "'app:it()' is an object of type Ftp, which accepts for itself"),
    "one that keeps a server of socketserver": (Nameserver(), "in .server: serve app:it.server"),
    "a class of such": (Nameserver, "which accepts for itself"),
    "a function that makes such": (lambda: Nameserver(), "in .server: have the call return that .server"),  # noqa: PLW0108  # as users write it
    "a coroutine function that runs alone": (runs_alone, "one that accepts for itself (listeners), decorated with"),
    "a factory of nothing": (lambda: None, "made an object of type NoneType"),
    "a factory of a factory": (lambda: make_server, "a factory of a factory"),
    "a factory that fails": (lambda: 1 // 0, "the call failed: ZeroDivisionError"),
}


@pytest.mark.parametrize("case", UNSERVABLE)
def test_what_cannot_be_served_is_told(case: str) -> None:
    target, message = UNSERVABLE[case]
    with pytest.raises(LoadError) as caught:
        classify("app:it", target)
    assert message in str(caught.value)


def test_the_loop_of_a_server_is_not_called() -> None:
    with pytest.raises(LoadError, match="is the loop of a server of socketserver: serve app:it"):
        classify("app:it.serve_forever", make_server().serve_forever)


def test_what_owns_its_loop_takes_the_sockets() -> None:
    with pytest.raises(TypeError, match="must take the list of listening sockets"):
        owns_loop(lambda: None)  # type: ignore[arg-type, misc]  # that is the mistake
    assert owns_loop(one)([]) is None
