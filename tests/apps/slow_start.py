"""A handler whose import takes as long as that of a grown application."""

from socketserver import BaseRequestHandler
from threading import Event


class EchoHandler(BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(self.request.recv(1024))


Event().wait(2.0)
