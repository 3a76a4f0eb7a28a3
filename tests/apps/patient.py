"""Handlers that take their time: until the gate opens, until they are told to say goodbye, or with the CPU in hand."""

import time
from functools import partial
from socketserver import BaseRequestHandler, StreamRequestHandler

from stages import tell, wait_at_the_gate  # type: ignore[import-not-found]  # beside this file, as an operator has it

from forkful.handlers import draining


class Datagrams(BaseRequestHandler):
    """Asked "wait", it waits; asked anything else, it answers at once."""

    def handle(self) -> None:
        data, sock = self.request
        if data == b"wait":
            tell("started")
            wait_at_the_gate()
        sock.sendto(data, self.client_address)


class Polite(StreamRequestHandler):
    """A conversation that is told when its worker drains, in the way that the client asks for."""

    def handle(self) -> None:
        match self.rfile.readline():
            case b"wait\n":
                tell("listening")
                draining().wait()
                self.wfile.write(b"goodbye\n")
            case b"poll\n":
                tell("listening")
                while not draining().is_set():
                    self.wfile.write(b"still here\n")
                    if self.rfile.readline() == b"":
                        return
                self.wfile.write(b"goodbye\n")
            case b"callback\n":
                goodbye = partial(self.wfile.write, b"goodbye\n")
                draining().add_callback(goodbye)
                try:
                    tell("listening")
                    self.rfile.readline()
                finally:
                    draining().remove_callback(goodbye)


class Busy(BaseRequestHandler):
    """Computes for as many milliseconds of CPU time as it is asked to."""

    def handle(self) -> None:
        data = self.request.recv(100)
        end = time.thread_time() + int(data) / 1000
        while time.thread_time() < end:
            pass
        self.request.sendall(data)


class Hog(BaseRequestHandler):
    """Keeps as many bytes as it is asked to, and says how many it has."""

    kept = bytearray()

    def handle(self) -> None:
        self.kept.extend(bytes(int(self.request.recv(100))))
        self.request.sendall(b"%d" % len(self.kept))
