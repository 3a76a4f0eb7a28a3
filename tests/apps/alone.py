"""Handlers for a worker without a master: they do what they are told, byte by byte."""

import os
import signal
import socket
import sys
from socketserver import BaseRequestHandler, TCPServer
from typing import Any

from forkful.handlers import draining

# What a module of somebody's does to the process; lanes must not care.
socket.setdefaulttimeout(300)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.set_wakeup_fd(-1)


class Ask(BaseRequestHandler):
    """Does what it is asked, until the end of the connection."""

    def handle(self) -> None:  # noqa: C901  # a list
        while question := self.request.recv(1):
            match question:
                case b"d":
                    self.request.sendall(b"y" if draining().is_set() else b"n")
                case b"w":
                    draining().wait(60)
                    self.request.sendall(b"goodbye")
                case b"s":
                    self.server.shutdown()
                    self.request.sendall(b"s")
                case b"p":
                    print("printed", flush=False)
                case b"t":
                    self.request.sendall(b"%d" % (self.request.gettimeout() or 0))
                case b"f":
                    self.fork()
                case b"c":
                    self.request.close()
                    return
                case b"r":
                    raise LookupError("as asked")
                case b"x":
                    sys.exit(5)
                case b"i":
                    raise KeyboardInterrupt
                case _:
                    self.request.sendall(question)

    def fork(self) -> None:
        """Children that are killed as multiprocessing would, at once; their end must not become ours."""
        ends = set()
        for _ in range(30):
            pid = os.fork()
            if not pid:
                signal.pause()
            os.kill(pid, signal.SIGTERM)
            ends.add(os.WTERMSIG(os.waitpid(pid, 0)[1]))
        self.request.sendall(b" ".join(b"%d" % end for end in ends))


class Datagram(BaseRequestHandler):
    """Answers; `hold` only once the worker drains."""

    def handle(self) -> None:
        data, sock = self.request
        if data == b"hold":
            draining().wait(60)
        if data == b"raise":
            raise LookupError("as asked")
        sock.sendto(data, self.client_address)


class Hooked(TCPServer):
    """Counts what it is asked, refuses the first, wraps each connection."""

    def __init__(self) -> None:
        super().__init__(("localhost", 7), Ask)
        self.asked: list[str] = []

    def get_request(self) -> Any:
        request, address = super().get_request()
        self.asked.append("get_request")
        return request, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        self.asked.append("verify_request")
        return len(self.asked) > 2

    def service_actions(self) -> None:
        self.asked.append("service_actions")

    def server_close(self) -> None:
        super().server_close()
        os.write(1, " ".join(self.asked).encode())


hooked = Hooked
