"""Handlers that do what handlers should not do, when they are asked to."""

import os
import sys
from socketserver import BaseRequestHandler


class Faulty(BaseRequestHandler):
    def handle(self) -> None:
        match self.request.recv(1024):
            case b"raise":
                raise LookupError("no such thing")
            case b"exit":
                sys.exit(3)
            case b"interrupt":
                raise KeyboardInterrupt
            case b"die":
                os._exit(9)
            case b"big":
                self.request.sendall(bytes(64 << 20))
            case data:
                self.request.sendall(data)


class FaultyDatagrams(BaseRequestHandler):
    def handle(self) -> None:
        data, sock = self.request
        match data:
            case b"raise":
                raise LookupError("no such thing")
            case b"exit":
                sys.exit(3)
            case b"interrupt":
                raise KeyboardInterrupt
            case _:
                sock.sendto(data, self.client_address)
