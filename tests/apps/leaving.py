"""Handlers that leave something behind: functions of atexit, threads, children."""

import atexit
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socketserver import BaseRequestHandler


def tell(event: str) -> None:
    with Path(os.environ["EVENTS"]).open("a") as events:
        events.write(f"{event}\n")


def wait() -> None:
    with Path(os.environ["GATE"]).open("rb", buffering=0) as gate:
        gate.read(1)


def go_on() -> None:
    wait()
    tell("thread")


atexit.register(tell, "atexit")
POOL = ThreadPoolExecutor(1)


class Busy(BaseRequestHandler):
    """Answers, and leaves a thread and a task of a pool that go on."""

    def handle(self) -> None:
        threading.Thread(target=go_on, daemon=False).start()
        POOL.submit(tell, "pool")
        self.request.sendall(self.request.recv(100))


async def busy(reader: object, writer: object) -> None:
    threading.Thread(target=go_on, daemon=False).start()
    POOL.submit(tell, "pool")
    writer.write(await reader.read(100))  # type: ignore[attr-defined]  # asyncio's streams
    writer.close()  # type: ignore[attr-defined]  # as above


class Forking(BaseRequestHandler):
    """Answers with the number of a child that lives on."""

    def handle(self) -> None:
        question = self.request.recv(100)
        pid = os.fork()
        if pid == 0:
            self.request.close()
            if question == b"return":
                return
            tell("child")
            wait()
            os._exit(0)
        self.request.sendall(str(pid).encode())
