"""The server object that handlers see: a real one, around the shared socket, with the user's hooks."""

import functools
import http.server
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from forkful.handlers import binding
from forkful.handlers.kinds import DATAGRAM, STREAM, Form, Served, classify
from forkful.handlers.load import LoadError
from forkful.handlers.server import build, is_plain, overridden, serves_in_turn

Listen = Callable[..., socket.socket]


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Listen]:
    """Bind a socket, closed afterwards."""
    with ExitStack() as stack:

        def bind(kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET) -> socket.socket:
            sock = stack.enter_context(socket.socket(family, kind))
            sock.bind(str(tmp_path / f"{kind}.sock") if family == socket.AF_UNIX else ("127.0.0.1", 0))
            if kind == socket.SOCK_STREAM:
                sock.listen()
            return sock

        yield bind


def nothing() -> None: ...


def around(target: Any, *listeners: socket.socket) -> list[Any]:
    return build(classify("app:it", target), listeners, nothing)


STOCK = {
    "tcp": (socket.AF_INET, socket.SOCK_STREAM, socketserver.TCPServer),
    "udp": (socket.AF_INET, socket.SOCK_DGRAM, socketserver.UDPServer),
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM, socketserver.UnixStreamServer),
    "unixgram": (socket.AF_UNIX, socket.SOCK_DGRAM, socketserver.UnixDatagramServer),
}


@pytest.mark.parametrize("case", STOCK)
def test_a_handler_class_gets_the_stock_server_for_its_socket(case: str, listen: Listen) -> None:
    family, kind, expected = STOCK[case]
    sock = listen(kind, family)
    (server,) = around(socketserver.BaseRequestHandler, sock)
    assert (isinstance(server, expected), type(server).__name__) == (True, expected.__name__)
    assert (server.socket, server.address_family, server.server_address) == (sock, family, sock.getsockname())
    assert server.RequestHandlerClass is socketserver.BaseRequestHandler
    assert server.fileno() == sock.fileno()
    assert not overridden(server)


def test_a_web_handler_gets_a_web_server_with_name_and_port(listen: Listen) -> None:
    sock = listen()
    (server,) = around(http.server.SimpleHTTPRequestHandler, sock)
    assert isinstance(server, http.server.HTTPServer)
    assert (server.server_name, server.server_port) == sock.getsockname()
    (server,) = around(http.server.SimpleHTTPRequestHandler, listen(family=socket.AF_UNIX))
    assert server.server_name == "localhost"


class Hooked(socketserver.ThreadingTCPServer):
    greeting = "hello"

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return bool(request) and bool(client_address)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.processed_by = threading.current_thread()
        super().process_request(request, client_address)


class Binding(socketserver.TCPServer):
    """Binds in spite of all."""

    def server_bind(self) -> None:
        self.socket.bind(("127.0.0.1", 0))


def test_a_server_of_the_users_keeps_its_hooks_and_loses_its_socket(listen: Listen) -> None:
    made = Binding(("127.0.0.1", 0), socketserver.BaseRequestHandler)
    bound = made.socket
    sock = listen()
    (server,) = around(made, sock)
    assert server is made
    assert bound.fileno() == -1
    assert server.socket is sock
    with binding.late_binding():
        (server,) = around(Hooked(("127.0.0.1", 0), socketserver.BaseRequestHandler), listen())
    assert server.greeting == "hello"
    assert overridden(server) == {"verify_request", "process_request"}
    server.handle_error = nothing
    assert "handle_error" in overridden(server)


def _wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*arguments: Any) -> Any:
        return function(*arguments)

    return run


class Decorated(socketserver.TCPServer):
    """Its overrides bear the names, and the modules, of what they wrap."""

    process_request = _wrapped(socketserver.TCPServer.process_request)
    server_bind = _wrapped(socketserver.TCPServer.server_bind)


def test_what_a_decorator_made_of_a_standard_function_is_an_override(listen: Listen) -> None:
    with binding.late_binding():
        made = Decorated(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        other = socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
    (server,) = around(made, listen())
    assert overridden(server) == {"process_request"}
    server.finish_request = other.finish_request
    assert overridden(server) == {"process_request", "finish_request"}, "another server's, however standard"
    other.server_close()


class Pooled(socketserver.ThreadingTCPServer):
    """Threads of its own."""

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address))
        thread.start()
        thread.join()


class Cleaning(socketserver.ThreadingTCPServer):
    """Does something around each thread's request, as Django's does."""

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        super().process_request_thread(request, client_address)


class Handing(socketserver.ThreadingTCPServer):
    """Its handler starts the threads, as pynetdicom's does."""

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self.finish_request(request, client_address)


@pytest.mark.parametrize(
    ("kind", "at_once", "later"),
    [
        (socketserver.TCPServer, 0, 0),
        (socketserver.ThreadingTCPServer, 1, 1),
        (Hooked, 0, 1),
        (Pooled, 0, 0),
        (Cleaning, 0, 1),
        (Handing, 0, 0),
    ],
)
def test_one_lane_for_a_server_of_threads_is_told_only_where_it_serves_in_turn(
    kind: type[socketserver.TCPServer], at_once: int, later: int, listen: Listen
) -> None:
    told: list[int] = []
    with binding.late_binding():
        (server,) = around(kind(("127.0.0.1", 0), socketserver.BaseRequestHandler), listen())
    serves_in_turn(server, lambda: told.append(1))
    assert len(told) == at_once
    for _ in range(2):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            name = "process_request_thread" if "process_request_thread" in overridden(server) else "process_request"
            getattr(server, name)(ours, "peer")
    assert len(told) == later


def test_threading_and_forking_servers_serve_in_place(listen: Listen) -> None:
    served = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            served.append(threading.current_thread())

    ours, theirs = socket.socketpair()
    with ours, theirs, binding.late_binding():
        for kind in (Hooked, socketserver.ForkingTCPServer, socketserver.ThreadingTCPServer):
            (server,) = around(kind(("127.0.0.1", 0), Handler), listen())
            server.process_request(ours.dup(), "peer")
            server.service_actions()
        stock = (around(kind(("", 0), Handler), listen())[0] for kind in (socketserver.ForkingTCPServer,))
        assert not any(overridden(server) for server in stock)
    assert served == [threading.main_thread()] * 3


def test_each_listener_has_a_server_of_its_own(listen: Listen) -> None:
    with binding.late_binding():
        made = Hooked(("127.0.0.1", 0), socketserver.BaseRequestHandler)
    made.counted = [1]  # type: ignore[attr-defined]  # what a user may add
    first, second = listen(), listen()
    servers = around(made, first, second)
    assert [server.socket for server in servers] == [first, second]
    assert [server.server_address for server in servers] == [first.getsockname(), second.getsockname()]
    assert servers[0].counted is servers[1].counted


def test_shutdown_asks_to_leave_and_nothing_of_a_server_serves_or_closes_by_itself(listen: Listen) -> None:
    asked = []

    class Said(socketserver.TCPServer):
        def shutdown(self) -> None:
            asked.append("own")
            super().shutdown()

        def serve_forever(self, poll_interval: float = 0.5) -> None:
            super().serve_forever(poll_interval)

    sock = listen()
    for target in (socketserver.BaseRequestHandler, Said(("127.0.0.1", 0), socketserver.BaseRequestHandler)):
        (server,) = build(classify("app:it", target), [sock], lambda: asked.append("leave"))
        server.shutdown()
        server.server_close()
        assert sock.fileno() >= 0
        with pytest.raises(RuntimeError, match="serves this server already"):
            server.serve_forever()
    assert asked == ["leave", "own", "leave"]


def test_a_server_class_is_made_with_what_it_wants(listen: Listen) -> None:
    class Handler(socketserver.BaseRequestHandler): ...

    class Nothing(socketserver.TCPServer):
        def __init__(self) -> None:
            super().__init__(("127.0.0.1", 1), Handler)

    class Address(socketserver.TCPServer):
        def __init__(self, address: tuple[str, int]) -> None:
            super().__init__(address, Handler)

    class Both(socketserver.TCPServer):
        RequestHandlerClass = Handler

    for kind in (Nothing, Address, Both):
        (server,) = around(kind, listen())
        assert type(server).__name__ == kind.__name__
        assert server.RequestHandlerClass is Handler
    with pytest.raises(LoadError, match="also wants RequestHandlerClass"):
        around(socketserver.TCPServer, listen())


MISFITS = {
    "streams on udp": (socketserver.StreamRequestHandler, socket.SOCK_DGRAM, "write tcp:// or unix://"),
    "datagrams on tcp": (socketserver.DatagramRequestHandler, socket.SOCK_STREAM, "write udp:// or unixgram://"),
    "a stream server on udp": (Hooked, socket.SOCK_DGRAM, "write tcp:// or unix://"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_handler_that_does_not_fit_its_address_is_told(case: str, listen: Listen) -> None:
    target, kind, message = MISFITS[case]
    with binding.late_binding(), pytest.raises(LoadError, match=message):
        around(target, listen(kind))


def test_a_callable_is_called_like_a_handler(listen: Listen) -> None:
    called = []
    served = Served("app:it", Form.CALLABLE, STREAM, lambda sock, address: called.append((sock, address)))
    (server,) = build(served, [listen()], nothing)
    server.finish_request("sock", "peer")  # type: ignore[arg-type]  # it only has to arrive
    assert called == [("sock", "peer")]

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.settimeout(10)
        udp = listen(socket.SOCK_DGRAM)
        for reply, expected in ((b"", b""), (None, b"end"), (b"yes", b"yes")):
            served = Served("app:it", Form.CALLABLE, DATAGRAM, lambda _data, _address, reply=reply: reply)
            (server,) = build(served, [udp.dup()], nothing)
            server.finish_request((b"data", udp), client.getsockname())
            if reply is None:
                udp.sendto(b"end", client.getsockname())
            assert client.recv(10) == expected
            server.socket.close()  # type: ignore[attr-defined]  # of its subclasses


def test_only_handlers_that_do_nothing_but_handle_are_plain() -> None:
    class Plain(socketserver.BaseRequestHandler):
        def handle(self) -> None: ...

    class Set(Plain):
        def setup(self) -> None: ...

    class Made(Plain):
        def __new__(cls, *_: object) -> Self:
            return super().__new__(cls)

    class Meta(type): ...

    class Odd(Plain, metaclass=Meta): ...

    assert is_plain(Plain)
    assert not any(map(is_plain, (Set, Made, Odd, socketserver.StreamRequestHandler, nothing)))
