"""Fixtures of the tests of a worker alone: sockets to listen and connect with, and a way to cast one.

Can go wrong: what `lone_worker` and the kit tell.
"""

import itertools
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from forkful.worker.compiled import find
from tests.kit.installation import Installation, compile_into
from tests.kit.server import APPS
from tests.kit.wait import PATIENCE
from tests.process.lone_worker import Cast, Connect, Listen, caster

#: What is about the compiled HTTP path is collected where there is one: `python -m tests.bench compiled` makes it.
collect_ignore = [] if find() is not None else ["test_compiled.py"]


@pytest.fixture
def cast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cast]:
    """Cast workers without a master; none is left at the end."""
    monkeypatch.syspath_prepend(str(APPS))
    with caster(tmp_path) as cast:
        yield cast


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Listen]:
    """Bind a listener of a kind: tcp, unix, udp or unixgram."""
    with ExitStack() as stack:

        def bind(kind: str = "tcp") -> socket.socket:
            family = socket.AF_UNIX if kind.startswith("unix") else socket.AF_INET
            datagrams = kind in {"udp", "unixgram"}
            sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM))
            sock.bind(str(tmp_path / kind) if family == socket.AF_UNIX else ("127.0.0.1", 0))
            if not datagrams:
                sock.listen(100)
            return sock

        yield bind


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """Connect to a listener; a Unix datagram socket gets a name to be answered at."""
    numbers = itertools.count()
    with ExitStack() as stack:

        def call(listener: socket.socket) -> socket.socket:
            client = stack.enter_context(socket.socket(listener.family, listener.type))
            client.settimeout(PATIENCE)
            if listener.family == socket.AF_UNIX and listener.type == socket.SOCK_DGRAM:
                client.bind(str(tmp_path / f"client{next(numbers)}"))
            client.connect(listener.getsockname())
            return client

        yield call


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_into(tmp_path_factory.mktemp("compiled"))


@pytest.fixture
def installation(tmp_path: Path, compiled: Path) -> Installation:
    """A copy of the package that a test may change."""
    return Installation(tmp_path / "site", compiled)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for localhost, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for said in ("subjectAltName=DNS:localhost", "keyUsage=critical,digitalSignature,keyCertSign"):
        command += ["-addext", said]  # Python 3.13 wants them
    command += ["-days", "2", "-subj", "/CN=localhost", "-keyout", str(path), "-out", str(path) + ".crt"]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path
