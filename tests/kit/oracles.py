"""Other servers for the same applications, on a socket that is handed down: what they answer is right.

    with oracle("uvicorn", "module:app", door, environment):
        ...

A connection waits in the socket's queue until the server is there.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from tests.kit.door import Door
from tests.kit.server import APPS
from tests.kit.wait import PATIENCE

#: By name: the words of its command; FD and APP are filled in.
SERVERS = {
    "Gunicorn": ("gunicorn", "APP", "--bind", "fd://FD", "--threads", "1"),
    "Gunicorn, 4 threads": ("gunicorn", "APP", "--bind", "fd://FD", "--threads", "4"),
    "Gunicorn, ASGI": ("gunicorn", "APP", "--bind", "fd://FD", "--worker-class", "asgi"),
    "uvicorn": ("uvicorn", "APP", "--fd", "FD", "--log-level", "warning"),
}


@contextlib.contextmanager
def oracle(name: str, app: str, door: Door, environment: Mapping[str, str]) -> Iterator[None]:
    """This server, until the end of the block."""
    assert door.listener is not None
    fd = door.listener.fileno()
    words = [word.replace("FD", str(fd)).replace("APP", app) for word in SERVERS[name]]
    with running([sys.executable, "-m", *words], door, environment):
        yield


@contextlib.contextmanager
def running(command: Sequence[str], door: Door, environment: Mapping[str, str]) -> Iterator[None]:
    """This command with the door's listener, until the end of the block."""
    assert door.listener is not None
    process = subprocess.Popen(
        command,
        cwd=APPS,
        env={**os.environ, **environment},
        pass_fds=[door.listener.fileno()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)
