"""Save: from a saved file to the first answer of the new code, beside others that reload, by turns.

Every server is there all the time and has a small application of its own, whose text is replaced by a rename, as most
editors do; then one client asks, each time on a connection of its own, until it sees the new text.
Can go wrong: a server does not come to serve the new text in time: `ServerError`.
"""

import os
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median

from tests.bench.comparison import Rounds
from tests.bench.contenders import forkful, gunicorn, uvicorn
from tests.bench.figure import Figure
from tests.bench.server import Contender, Server, ServerError

TARGET_MS = 150.0
PATIENCE = 30.0
REST = 0.4  # seconds after each, in which nothing goes on any more
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
WSGI = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"version {}."]
"""
ASGI = """\
async def application(scope, receive, send):
    if scope["type"] == "http":
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b"version {}."}})
"""


@dataclass(slots=True)
class _Trial:
    """One server, the module that it serves, and how its saves went."""

    server: Server
    path: Path
    source: str
    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def save(self, version: int) -> None:
        before = self.server.cpu()
        self.times.append(_saved(self.server, self.path, self.source, version))
        self.cpu.append((self.server.cpu() - before) * 1e3)


def save(rounds: Rounds) -> list[Figure]:
    """Milliseconds; the target is for a small application on a machine that does nothing else."""
    found: dict[str, _Trial | str] = {}
    with ExitStack() as stack:
        for number, (make, source) in enumerate(_CONTENDERS):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-save-")))
            path = folder / f"saved{number}.py"
            path.write_text(source.format(0))
            contender = replace(make(path.stem, folder), all_cores=True)
            try:
                found[contender.name] = contender.missing or _Trial(
                    stack.enter_context(Server(contender)), path, source
                )
            except ServerError as error:
                found[contender.name] = str(error)
        trials = [trial for trial in found.values() if isinstance(trial, _Trial)]
        for version in range(1, rounds.rounds * 2 + 1):
            for trial in trials:
                trial.save(version)
    return [_figure(name, trial) for name, trial in found.items()]


def _forkful(name: str, module: str, folder: Path) -> Contender:
    made = forkful(f"forkful --reload, {name}", f"{module}:application", "--reload", "--chdir", str(folder))
    return replace(made, argv=(*made.argv, "--access-log", "{tmp}/access.log"))


def _uvicorn(module: str, folder: Path) -> Contender:
    options = ("--reload", "--app-dir", str(folder), "--reload-dir", str(folder))
    return uvicorn("uvicorn --reload, ASGI", f"{module}:application", *options)


def _gunicorn(module: str, folder: Path) -> Contender:
    return gunicorn("Gunicorn --reload, WSGI", f"{module}:application", "--reload", "--chdir", str(folder))


_CONTENDERS: tuple[tuple[Callable[[str, Path], Contender], str], ...] = (
    (partial(_forkful, "WSGI"), WSGI),
    (partial(_forkful, "ASGI"), ASGI),
    (_uvicorn, ASGI),
    (_gunicorn, WSGI),
)


def _saved(server: Server, path: Path, source: str, version: int) -> float:
    new = path.with_suffix(".new")
    new.write_text(source.format(version))
    began = time.monotonic()
    new.rename(path)
    wanted = f"version {version}.".encode()
    while wanted not in _ask(server.port):
        if time.monotonic() - began > PATIENCE:
            raise ServerError(f"{server.contender.name} does not serve what was saved:\n{server.tail}")
        time.sleep(0.002)
    took = (time.monotonic() - began) * 1e3
    time.sleep(REST)
    return took


def _ask(port: int) -> bytes:
    reply = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(REQUEST)
            while chunk := connection.recv(4096):
                reply += chunk
    except ConnectionError:  # between its old process and its new one
        return b""
    return reply


def _figure(what: str, trial: _Trial | str) -> Figure:
    if isinstance(trial, str):
        return Figure(what, absent=trial.splitlines()[0])
    target = TARGET_MS if what.startswith("forkful") else None
    detail = f"{len(trial.times)} saves, {median(trial.cpu):.0f} ms of CPU each; load {os.getloadavg()[0]:.1f}"
    return Figure(what, median(trial.times), "ms", target, low=min(trial.times), high=max(trial.times), detail=detail)
