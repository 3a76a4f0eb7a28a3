"""Servers whose own `get_request` waits for its client: for a TLS handshake, or for a line before all others."""

import os
import socketserver
import ssl
from pathlib import Path
from socket import socket
from typing import Any


def tell(event: str) -> None:
    with Path(os.environ["EVENTS"]).open("a") as events:
        events.write(f"{event}\n")


class Upper(socketserver.StreamRequestHandler):
    """Tells whom it serves, and answers a line."""

    def handle(self) -> None:
        tell(f"served {self.client_address[0] if self.client_address else ''}")
        self.wfile.write(self.rfile.readline().upper())


class Reading(socketserver.TCPServer):
    """Reads a byte of each connection before it takes it for one."""

    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Upper)

    def get_request(self) -> tuple[socket, Any]:
        request, peer = super().get_request()
        if request.recv(1) == b"":
            raise OSError("it said nothing")
        return request, peer


class Secured(Reading):
    """TLS as the documentation of `ssl` shows it for a server: each connection is wrapped."""

    def get_request(self) -> tuple[socket, Any]:
        request, peer = socketserver.TCPServer.get_request(self)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.environ["CERTIFICATE"])
        return context.wrap_socket(request, server_side=True), peer
