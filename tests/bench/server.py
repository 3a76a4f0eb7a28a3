"""A server: one contender running on the servers' core, with its socket handed down, and what it costs.

Can go wrong: it dies or is not ready in time: `ServerError` with the end of its log.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.bench import cpu
from tests.bench.cores import pinned, server_core

ROOT = Path(__file__).parent.parent.parent
READY_WITHIN = 60.0
STOP_WITHIN = 15.0


class ServerError(RuntimeError):
    """A contender did not start, or did not stay."""


@dataclass(frozen=True, slots=True)
class Contender:
    """How to start one. In `argv`, `{fd}` is its socket and `{tmp}` a directory of its own."""

    name: str
    argv: tuple[str, ...]
    datagram: bool = False
    environment: dict[str, str] = field(default_factory=dict)


class Server:
    """The running contender; leaving the context stops it and proves that its process group is empty."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.pid = 0
        self.address = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            listener = stack.enter_context(_listener(datagram=self.contender.datagram))
            self.port: int = listener.getsockname()[1]
            self.address = f"127.0.0.1:{self.port}"
            notify = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            notify.bind(str(self.directory / "notify"))
            self._process = self._start(listener.fileno())
            self.pid = self._process.pid
            stack.callback(self._stop)
            self._await_ready(notify)
            listener.close()  # the server's own now: when it dies, clients hear of it
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def cpu(self) -> float:
        """Seconds of user and system time so far, of all its processes, those that are gone included."""
        return cpu.seconds(self.pid)

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def _start(self, fd: int) -> subprocess.Popen[bytes]:
        argv = [word.format(fd=fd, tmp=self.directory) for word in self.contender.argv]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FORKFUL_")}
        environment = inherited | self.contender.environment | {"NOTIFY_SOCKET": str(self.directory / "notify")}
        with pinned(server_core()), (self.directory / "log").open("wb") as log:
            return subprocess.Popen(
                argv, cwd=ROOT, env=environment, pass_fds=[fd], stdout=log, stderr=log, start_new_session=True
            )

    def _await_ready(self, notify: socket.socket) -> None:
        deadline = time.monotonic() + READY_WITHIN
        notify.settimeout(0.25)
        while time.monotonic() < deadline:
            try:
                if b"READY=1" in notify.recv(4096).split(b"\n"):
                    return
            except TimeoutError:
                if self._process.poll() is not None:
                    code = self._process.returncode
                    raise ServerError(f"{self.contender.name} left with {code}:\n{self._tail()}") from None
        raise ServerError(f"{self.contender.name} was not ready within {READY_WITHIN:.0f} s:\n{self._tail()}")

    def _tail(self) -> str:
        return "\n".join(self.log.splitlines()[-30:])

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            print(f"bench: {self.contender.name} did not stop within {STOP_WITHIN:.0f} s", file=sys.stderr)
        try:
            os.killpg(self.pid, signal.SIGKILL)  # its own session: nobody else is in there
        except ProcessLookupError:
            pass
        else:
            self._process.wait(STOP_WITHIN)


def _listener(*, datagram: bool) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    if not datagram:
        sock.listen(2048)
    return sock
