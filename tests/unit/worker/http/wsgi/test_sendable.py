"""Which files may go out by sendfile(2): those whose descriptor says all that reading them would."""

import bz2
import gzip
import io
import os
import socket
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from django.core.files import File

from forkful.handlers.wsgi import Environ, StartResponse
from forkful.worker.http.wsgi.sendable import sendable
from forkful.worker.net.accepted import Accepted
from tests.unit.worker.http.wire import Client

CONTENT = b"0123456789" * 10


class Limited:
    """Reads no more than some bytes of a file, and has its descriptor, as wrappers do."""

    def __init__(self, file: Any, left: int) -> None:
        self._file, self._left = file, left

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data

    def fileno(self) -> int:
        return int(self._file.fileno())

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()


def read_some(path: Path) -> Any:
    file = path.open("rb")
    file.read(3)
    return file


def temporary(_: Path) -> Any:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115  # closed by the test
    file.write(CONTENT)
    file.seek(3)
    return file


SENT: dict[str, tuple[Callable[[Path], Any], int]] = {
    "a file": (lambda path: path.open("rb"), 0),
    "without a buffer": (lambda path: path.open("rb", buffering=0), 0),
    "for writing, too": (lambda path: path.open("r+b"), 0),
    "read in part": (read_some, 3),
    "a temporary file": (temporary, 3),
    "a file of Django's": (lambda path: File(path.open("rb")), 0),
}


@pytest.mark.parametrize("case", SENT)
def test_a_file_is_sent_from_where_it_is_read(case: str, tmp_path: Path) -> None:
    make, offset = SENT[case]
    (tmp_path / "file").write_bytes(CONTENT)
    file = make(tmp_path / "file")
    span = sendable(file)
    file.close()

    assert span is not None
    assert span[1:] == (offset, len(CONTENT) - offset)


def packed(opener: Callable[..., Any]) -> Callable[[Path], Any]:
    def make(path: Path) -> Any:
        with opener(path, "wb") as file:
            file.write(CONTENT)
        return opener(path, "rb")

    return make


def pipe(_: Path) -> Any:
    reader, writer = os.pipe()
    os.close(writer)
    return os.fdopen(reader, "rb")


READ: dict[str, Callable[[Path], Any]] = {
    "packed": packed(gzip.open),
    "packed otherwise": packed(bz2.open),
    "behind a buffer": lambda path: io.BufferedReader(packed(gzip.open)(path)),
    "less than the file": lambda path: Limited(path.open("rb"), 7),
    "text": lambda path: path.open(),
    "of /proc, without a size": lambda _: Path("/proc/self/status").open("rb"),  # noqa: SIM115  # closed by the test
    "in memory": lambda _: io.BytesIO(CONTENT),
    "spooled": lambda _: tempfile.SpooledTemporaryFile(),  # noqa: SIM115  # as above
    "a pipe": pipe,
    "no file": lambda _: object(),
}


@pytest.mark.parametrize("case", READ)
def test_what_only_reading_tells_is_read(case: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    file = READ[case](tmp_path / "file")

    span = sendable(file)
    if hasattr(file, "close"):
        file.close()

    assert span is None


def test_a_closed_file_is_not_sent(tmp_path: Path) -> None:
    file = (tmp_path / "file").open("wb")
    file.close()

    assert sendable(file) is None


def test_packed_content_is_sent_as_it_reads(tmp_path: Path) -> None:
    file = packed(gzip.open)(tmp_path / "file")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        result: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return result

    assert Client(app).say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").endswith(CONTENT + b"\r\n0\r\n\r\n")


def test_what_is_written_past_the_transport_is_not_where_the_connection_is_secured(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        result: Iterable[bytes] = environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))
        return result

    client = Client(app)
    with socket.socket() as sock:
        client.connection.accepted = Accepted(sock, ("192.0.2.7", 4711), 0, secure=True)
        assert client.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").endswith(CONTENT + b"\r\n0\r\n\r\n")
