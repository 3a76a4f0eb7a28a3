"""A handler whose import takes a second, and the same as a WSGI application. Both answer with the worker's PID."""

import os
import time
from collections.abc import Callable, Iterable
from socketserver import BaseRequestHandler

IMPORT_TAKES = 1.0

time.sleep(IMPORT_TAKES)


class Pid(BaseRequestHandler):
    """Whatever is asked, the PID on a line of its own."""

    def handle(self) -> None:
        self.request.recv(1024)
        self.request.sendall(b"\n%d" % os.getpid())


def application(_environ: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"\n%d" % os.getpid()]
