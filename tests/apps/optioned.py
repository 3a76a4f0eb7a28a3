"""Handlers that show from outside what an option does: who imported them, how many are inside, how slow a boot may be.

Can go wrong: only what the tests ask for.
"""

import asyncio
import contextlib
import json
import logging
import os
import threading
from collections.abc import Awaitable, Iterable
from pathlib import Path
from socketserver import BaseRequestHandler
from typing import Any

IMPORTED_BY = os.getpid()
_GATE = Path(os.environ.get("GATE", "/nowhere"))
_inside: set[object] = set()
_lock = threading.Lock()

with contextlib.suppress(OSError), (_GATE / "importers").open("a") as importers:
    importers.write(f"{os.getuid()} {Path.cwd()}\n")


class First(BaseRequestHandler):
    word = b"first"

    def handle(self) -> None:
        self.request.recv(100)
        self.request.sendall(self.word)


class Second(First):
    word = b"second"


class Who(BaseRequestHandler):
    """Says who serves and who imported it; asked for bytes of memory, it keeps so many."""

    kept: list[bytes] = []  # noqa: RUF012  # a leak is the purpose

    def handle(self) -> None:
        wanted = int(self.request.recv(100))
        self.kept.append(b"x" * wanted)
        self.request.sendall(b"%d %d" % (os.getpid(), IMPORTED_BY))


class Crowd(BaseRequestHandler):
    """Says how many are inside of this process, and stays until the client goes."""

    def handle(self) -> None:
        with _lock:
            _inside.add(self)
            count = len(_inside)
        self.request.sendall(b"%d" % count)
        self.request.recv(1)
        with _lock:
            _inside.discard(self)


async def crowd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The same on an event loop."""
    _inside.add(writer)
    writer.write(b"%d" % len(_inside))
    await reader.read(1)
    _inside.discard(writer)
    writer.close()


async def line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """How long it is, if it may be as long."""
    try:
        length = len(await reader.readline())
    except ValueError:
        length = -1
    writer.write(b"%d" % length)
    await writer.drain()
    writer.close()


class Options(BaseRequestHandler):
    """Says what the kernel does of the options of its connection that it is asked for."""

    def handle(self) -> None:
        if isinstance(self.request, tuple):
            return
        level, options = json.loads(self.request.recv(1000))
        self.request.sendall(json.dumps([self.request.getsockopt(level, each) for each in options]).encode())


class Held(BaseRequestHandler):
    """A request that lasts until the client says more."""

    def handle(self) -> None:
        self.request.recv(1)
        self.request.sendall(b"begun")
        self.request.recv(1)
        self.request.sendall(b"done")


def slow() -> type[BaseRequestHandler]:
    """A boot that does not end while the test says so."""
    if (_GATE / "closed").exists():
        threading.Event().wait()
    return First


def gated() -> type[BaseRequestHandler]:
    """Of those who boot while there is a gate, one goes through, and the others wait until somebody opens it."""
    gate = _GATE / "gate"
    if gate.exists():
        try:
            os.close(os.open(_GATE / f"canary{os.environ.get('ROUND', '')}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                gate.read_bytes()  # of a FIFO: to its end
    return First


def web(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """What a WSGI application is told; asked for a level, it logs at that level."""
    logging.getLogger("optioned").log(int(environ["QUERY_STRING"] or 0), "spoken %s", environ["PATH_INFO"])
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json")])
    if environ["PATH_INFO"] == "/big":
        return [b"x" * 16_000_000]  # more than the kernel keeps of a connection
    told = {key: environ.get(key) for key in ("SCRIPT_NAME", "PATH_INFO", "REMOTE_ADDR")}
    return [json.dumps({**told, "length": len(body)}).encode()]


async def living(scope: Any, receive: Any, send: Any) -> None:
    """Says whether its start-up ran."""
    if scope["type"] == "lifespan":
        while (event := (await receive())["type"]) == "lifespan.startup":
            scope["state"]["started"] = True
            await send({"type": f"{event}.complete"})
        await send({"type": f"{event}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"started" if "started" in scope["state"] else b"not started"})


def ambiguous(*arguments: Any) -> Iterable[bytes] | Awaitable[None]:
    """An application of either kind."""
    if len(arguments) == len(("environ", "start_response")):
        arguments[1]("200 OK", [])
        return [b"wsgi"]
    return _asgi(*arguments)


async def _asgi(scope: Any, _: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"asgi"})


CALLED: list[str] = []


def hook(hook: Any) -> None:  # Any: what a hook is called with
    CALLED.append(hook.hook)


class Hooked(BaseRequestHandler):
    """Answers with the moments at which a hook of this worker was called."""

    def handle(self) -> None:
        self.request.recv(10)
        self.request.sendall(" ".join(CALLED).encode())
