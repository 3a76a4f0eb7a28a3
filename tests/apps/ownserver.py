"""Server subclasses that override the hooks of `socketserver` as its documentation describes them."""

import json
import os
import socketserver
from pathlib import Path
from socket import socket
from typing import Any


def tell(event: str) -> None:
    with Path(os.environ["EVENTS"]).open("a") as events:
        events.write(f"{event}\n")


class AboutServer(socketserver.BaseRequestHandler):
    """Says what a handler can see of its server."""

    def handle(self) -> None:
        question = self.request.recv(1024).decode()
        if question == "fail":
            raise ValueError("the handler failed, as it was asked to")
        server = self.server
        assert isinstance(server, socketserver.TCPServer)
        host, port = server.server_address[:2]
        answer = {
            "address": [host, port],
            "bound": list(server.socket.getsockname()),
            "fileno": server.fileno() == server.socket.fileno(),
            "type": type(server).__name__,
            "greeting": getattr(server, "greeting", None),
            "handler": server.RequestHandlerClass.__name__,
            "queue": server.request_queue_size,
        }
        self.request.sendall(json.dumps(answer).encode())


class Hooked(socketserver.TCPServer):
    """Every hook a subclass may override, each telling that it was asked."""

    greeting = "a class attribute"
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), AboutServer)
        self.greeting = "set in the constructor"

    def verify_request(self, request: Any, client_address: Any) -> bool:  # Any: as typeshed has it
        tell("verify_request")
        return bool(self.greeting) and request.recv(1024, 2) != b"refuse"  # 2: MSG_PEEK

    def process_request(self, request: Any, client_address: Any) -> None:
        tell("process_request")
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        tell("finish_request")
        super().finish_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        tell("shutdown_request")
        super().shutdown_request(request)

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        tell("handle_error")
