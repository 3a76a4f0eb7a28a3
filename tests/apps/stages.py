"""A handler whose life a test can follow: it tells that it started, waits at the gate, answers, and tells the end."""

import os
from pathlib import Path
from socketserver import BaseRequestHandler


def tell(event: str) -> None:
    with Path(os.environ["EVENTS"]).open("a") as events:
        events.write(f"{event}\n")


def wait_at_the_gate() -> None:
    with Path(os.environ["GATE"]).open("rb", buffering=0) as gate:
        gate.read(1)


class Staged(BaseRequestHandler):
    """Asked "wait", it waits; asked anything else, it answers at once."""

    def handle(self) -> None:
        data = self.request.recv(1024)
        if data == b"wait":
            tell(f"started {os.getpid()}")
            wait_at_the_gate()
        self.request.sendall(data)
        if data == b"wait":
            tell(f"finished {os.getpid()}")
