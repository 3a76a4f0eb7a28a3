"""Handlers whose life a test can follow: they tell that they started, wait at the gate, answer, and tell the end."""

import os
from pathlib import Path
from socketserver import BaseRequestHandler

from forkful.handlers import draining


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


class Parting(Staged):
    """Tells, too, when its worker begins to drain."""

    def setup(self) -> None:
        draining().add_callback(self.part)

    def part(self) -> None:
        tell(f"draining {os.getpid()}")

    def finish(self) -> None:
        draining().remove_callback(self.part)
