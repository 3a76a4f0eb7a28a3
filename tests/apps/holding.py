"""Servers whose connections outlive their handler: a thread of the program's own has them."""

import os
import socket
import socketserver
import ssl
import threading
from pathlib import Path
from typing import Any


def tell(event: str) -> None:
    with Path(os.environ["EVENTS"]).open("a") as events:
        events.write(f"{event}\n")


def wait() -> None:
    with Path(os.environ["GATE"]).open("rb", buffering=0) as gate:
        gate.read(1)


def work(sock: socket.socket) -> None:
    """Echoes until the client ends."""
    with sock:
        while data := sock.recv(1024):
            sock.sendall(data)
    tell("closed")


def start(sock: socket.socket) -> None:
    threading.Thread(target=work, args=(sock,), daemon=True).start()


class Upper(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        work(self.request)


class HandsOn(socketserver.BaseRequestHandler):
    """Returns at once."""

    def handle(self) -> None:
        start(self.request)


class Detaches(socketserver.BaseRequestHandler):
    """The same for any server: the socket that the server closes is an empty shell."""

    def handle(self) -> None:
        sock = self.request
        start(socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach()))


class Unbound(socketserver.ThreadingTCPServer):
    """Calls the method of the class that it names, as pymodbus does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Upper)

    def process_request(self, request: Any, client_address: Any) -> None:
        socketserver.ThreadingTCPServer.process_request(self, request, client_address)


class OwnThread(socketserver.ThreadingTCPServer):
    """Does in its own way what a thread does, and closes nothing, as pynetdicom does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HandsOn)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        tell("process_request_thread")
        self.finish_request(request, client_address)


class KeepsOpen(socketserver.TCPServer):
    """Leaves closing to whoever has the connection."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HandsOn)

    def shutdown_request(self, request: Any) -> None: ...


class ClosesEarly(socketserver.BaseRequestHandler):
    """Has something to do when it has closed its connection."""

    def handle(self) -> None:
        self.request.sendall(self.request.recv(1))
        self.request.close()
        tell("closed")
        wait()


class ClosesFiles(socketserver.StreamRequestHandler):
    """The same with files of it, each of which holds it open."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.read(1))
        self.request.close()
        self.rfile.close()
        tell("closed")
        wait()


class ClosesSecured(socketserver.ThreadingTCPServer):
    """The same of a connection that the server has put TLS on."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ClosesEarly)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(os.environ["CERTIFICATE"])

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, peer = super().get_request()
        return self.context.wrap_socket(sock, server_side=True), peer


class Forgets(KeepsOpen):
    """Nobody closes, nobody holds: the end of the object is the end of the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = socketserver.BaseRequestHandler
