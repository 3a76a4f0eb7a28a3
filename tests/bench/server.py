"""A server: one contender running on the servers' core, with its socket handed down, and what it costs.

Can go wrong: it dies or is not ready in time: `ServerError` with the end of its log; it is not installed: `missing`
says so before.
"""

import importlib.util
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NoReturn, Self

from tests.bench import cpu
from tests.bench.cores import pinned, server_core
from tests.kit.environment import short, without_ours

ROOT = Path(__file__).parent.parent.parent
READY_WITHIN = 60.0
STOP_WITHIN = 15.0
PAUSE = 0.25


class ServerError(RuntimeError):
    """A contender did not start, or did not stay."""


class Ready(Enum):
    """How a contender shows that it is ready: READY=1, sd_notify(3), or the answer to a GET."""

    NOTIFIES = "notifies"
    ANSWERS = "answers"


@dataclass(frozen=True, slots=True)
class Contender:
    """How to start one. In `argv`, `{fd}` is its socket and `{tmp}` a directory of its own.

    One that has to bind for itself `binds` the `{port}`, which is kept for it meanwhile: by a socket that does not
    listen, and does not hinder those with the same SO_REUSEADDR or SO_REUSEPORT, socket(7).
    """

    name: str
    argv: tuple[str, ...]
    datagram: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    ready: Ready = Ready.NOTIFIES
    binds: bool = False
    needs: str = ""  # a module from PyPI, or with a slash a program
    install: str = "pip install '.[bench]'"
    configuration: str = ""  # becomes the file `{tmp}/conf`
    all_cores: bool = False
    secure: bool = False  # it answers by TLS
    wildcard: bool = False  # its socket is on every address
    within: float = READY_WITHIN  # seconds until it must be ready

    @property
    def missing(self) -> str:
        """Why it cannot be started here, and what to do about it; empty if it can."""
        there = (
            shutil.which(self.needs) if "/" in self.needs else not self.needs or importlib.util.find_spec(self.needs)
        )
        return "" if there else f"no {self.needs}: {self.install}"


class Server:
    """The running contender; leaving the context stops it and proves that its process group is empty."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.pid = 0
        self.address = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.directory = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=short(tempfile.gettempdir())))
            )
            listener = stack.enter_context(_listener(self.contender))
            self.port: int = listener.getsockname()[1]
            self.address = f"127.0.0.1:{self.port}"
            notify = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            notify.bind(str(self.directory / "notify"))
            self._process = self._start(listener.fileno())
            self.pid = self._process.pid
            stack.callback(self._stop)
            match self.contender.ready:
                case Ready.NOTIFIES:
                    self._await_notification(notify)
                case Ready.ANSWERS:
                    self._await_answer()
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
        names = {"fd": fd, "tmp": self.directory, "port": self.port}
        argv = [word.format(**names) for word in self.contender.argv]
        if self.contender.configuration:
            (self.directory / "conf").write_text(self.contender.configuration % names)
        environment = without_ours(os.environ) | self.contender.environment
        environment["NOTIFY_SOCKET"] = str(self.directory / "notify")
        cores = nullcontext() if self.contender.all_cores else pinned(server_core())
        with cores, (self.directory / "log").open("wb") as log:
            return subprocess.Popen(
                argv, cwd=ROOT, env=environment, pass_fds=[fd], stdout=log, stderr=log, start_new_session=True
            )

    def _await_notification(self, notify: socket.socket) -> None:
        deadline = time.monotonic() + self.contender.within
        notify.settimeout(PAUSE)
        while time.monotonic() < deadline:
            try:
                if b"READY=1" in notify.recv(4096).split(b"\n"):
                    return
            except TimeoutError:
                self._must_live()
        self._too_late()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + self.contender.within
        while time.monotonic() < deadline:
            try:
                with self._connect() as client:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    if b" 200 " in client.recv(4096):
                        return
            except OSError:  # not listening yet
                self._must_live()
            time.sleep(PAUSE / 10)
        self._too_late()

    def _connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=READY_WITHIN / 4)
        if not self.contender.secure:
            return client
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        return anybody.wrap_socket(client)

    def _must_live(self) -> None:
        if self._process.poll() is not None:
            raise ServerError(f"{self.contender.name} left with {self._process.returncode}:\n{self.tail}") from None

    def _too_late(self) -> NoReturn:
        raise ServerError(f"{self.contender.name} was not ready within {self.contender.within:.0f} s:\n{self.tail}")

    @property
    def tail(self) -> str:
        """The end of its log."""
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


def _listener(contender: Contender) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if contender.datagram else socket.SOCK_STREAM)
    if contender.binds:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("0.0.0.0" if contender.wildcard else "127.0.0.1", 0))  # as it says
    if not contender.datagram and not contender.binds:
        sock.listen(2048)
    return sock
