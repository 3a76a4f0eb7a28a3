"""Server classes that override what `socketserver` lets them: how they bind, serve, look after things and shut down."""

import os
import socket
import struct
import threading
from pathlib import Path
from socketserver import BaseRequestHandler, StreamRequestHandler, TCPServer, ThreadingTCPServer, UDPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer


def tell(event: str) -> None:
    with Path(os.environ["EVENTS"]).open("a") as events:
        events.write(f"{event}\n")


class Echo(BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(self.request.recv(1024))


class Options(BaseRequestHandler):
    """Says what the kernel has for the listening socket."""

    def handle(self) -> None:
        sock: socket.socket = self.server.socket  # type: ignore[attr-defined]  # declared by subclasses
        found = [sock.getsockopt(socket.SOL_SOCKET, option) for option in (socket.SO_KEEPALIVE, socket.SO_RCVBUF)]
        self.request.sendall(repr(found).encode())


class Tuned(TCPServer):
    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        super().server_bind()

    def server_activate(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000)
        super().server_activate()


class BindsByItself(TCPServer):
    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()


def tuned() -> TCPServer:
    return Tuned(("127.0.0.1", 0), Options)


def tuned_later() -> TCPServer:
    """Made without binding, as a script does that binds under `if __name__ == "__main__":`."""
    return Tuned(("127.0.0.1", 0), Options, bind_and_activate=False)


def binds_by_itself() -> TCPServer:
    return BindsByItself(("127.0.0.1", int(os.environ.get("WANTED", "0"))), Options)


GROUP = "239.255.77.77"


class Group(UDPServer):
    def server_bind(self) -> None:
        super().server_bind()
        membership = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton("127.0.0.1"))
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)


class Tell(BaseRequestHandler):
    def handle(self) -> None:
        tell(f"got {self.request[0].decode()}")


def group() -> UDPServer:
    return Group(("", 0), Tell)


class Looked(TCPServer):
    def service_actions(self) -> None:
        tell(f"service_actions {threading.current_thread() is threading.main_thread()}")


def looked() -> TCPServer:
    return Looked(("127.0.0.1", 0), Echo)


class Announced(TCPServer):
    def serve_forever(self, poll_interval: float = 0.5) -> None:
        tell(f"begin in the main thread: {threading.current_thread() is threading.main_thread()}")
        try:
            super().serve_forever(poll_interval)
        finally:
            tell("end")


class OneByOne(TCPServer):
    def serve_forever(self, poll_interval: float = 0.5) -> None:
        try:
            while True:
                self.handle_request()
        finally:
            tell("end")


class Absent(TCPServer):
    def serve_forever(self, poll_interval: float = 0.5) -> None:
        tell("end")


def announced() -> TCPServer:
    return Announced(("127.0.0.1", 0), Echo)


def one_by_one() -> TCPServer:
    return OneByOne(("127.0.0.1", 0), Echo)


def absent() -> TCPServer:
    return Absent(("127.0.0.1", 0), Echo)


class Patient(StreamRequestHandler):
    """Holds its client until its server is told to shut down."""

    def handle(self) -> None:
        self.wfile.write(b"hello")
        assert isinstance(self.server, Telling)
        self.server.over.wait()
        self.wfile.write(b"bye")


class Telling(ThreadingTCPServer):
    def __init__(self, *arguments: Any) -> None:
        self.over = threading.Event()
        super().__init__(*arguments)

    def shutdown(self) -> None:
        tell("shutdown")
        self.over.set()
        super().shutdown()


def telling() -> TCPServer:
    return Telling(("127.0.0.1", 0), Patient)


class Gated(BaseRequestHandler):
    """Answers when it is told to."""

    def handle(self) -> None:
        data = self.request.recv(100)
        tell("asked")
        with Path(os.environ["GATE"]).open("rb", buffering=0) as gate:
            gate.read(1)
        self.request.sendall(data)


class Closing(TCPServer):
    """Ends its listening socket when it is shut down, and then fails, as pynetdicom's does."""

    def shutdown(self) -> None:
        super().shutdown()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        tell("shut down")
        raise ValueError("not in the list")


def closing() -> TCPServer:
    return Closing(("127.0.0.1", 0), Gated)


def _app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["SERVER_PORT"].encode()]


def reference() -> WSGIServer:
    """wsgiref's own server: `make_server` would do, but binds a fixed port."""
    server = WSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(_app)
    return server
