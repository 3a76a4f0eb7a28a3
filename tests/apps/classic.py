"""The classic programs of the standard library's documentation, as they were written years ago."""

import os
from socketserver import BaseRequestHandler, DatagramRequestHandler, StreamRequestHandler


class EchoHandler(BaseRequestHandler):
    def handle(self) -> None:
        self.data = self.request.recv(1024)
        self.request.sendall(self.data)


class LineHandler(StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


class DatagramEcho(BaseRequestHandler):
    def handle(self) -> None:
        data, sock = self.request
        sock.sendto(data, self.client_address)


class DatagramUpper(DatagramRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.read().upper())


class PidHandler(BaseRequestHandler):
    """Says which process serves it."""

    def handle(self) -> None:
        self.request.recv(1024)
        self.request.sendall(b"%d" % os.getpid())


class DatagramPid(BaseRequestHandler):
    def handle(self) -> None:
        self.request[1].sendto(b"%d" % os.getpid(), self.client_address)
