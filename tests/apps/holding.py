"""Servers whose connections outlive their handler: a thread of the program's own has them."""

import os
import socket
import socketserver
import threading
from pathlib import Path
from typing import Any


def tell(event: str) -> None:
    with Path(os.environ["EVENTS"]).open("a") as events:
        events.write(f"{event}\n")


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


class Forgets(KeepsOpen):
    """Nobody closes, nobody holds: the end of the object is the end of the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = socketserver.BaseRequestHandler
