"""The file that handlers read by, beside the standard library's of an ordinary socket: both say the same."""

import io
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from forkful.worker.net.counted_socket import Uncounted
from forkful.worker.net.incoming_file import Incoming

Made = Callable[[int], socket.socket]


def ordinary(fd: int) -> socket.socket:
    return socket.socket(fileno=fd)


def accepted(fd: int) -> socket.socket:
    return Uncounted(fileno=fd)


@pytest.fixture(params=[ordinary, accepted])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    client, server = socket.socketpair()
    with client, request.param(server.detach()) as sock:
        yield client, sock


def said(call: Callable[[], Any]) -> str:
    """What it gives, or what it says of why not."""
    try:
        return repr(call())
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def scene(sock: socket.socket, client: socket.socket) -> list[str]:
    """All that may happen to such a file, one after the other."""
    file: Any = sock.makefile("rb", -1)  # Any: typeshed knows less of what it reads by
    client.sendall(b"one\ntwo\nthree")
    told = [said(file.readline), said(lambda: file.read(4)), said(lambda: file.read1(100))]
    told += [said(file.readable), said(file.writable), said(file.seekable), said(file.tell), said(lambda: file.seek(0))]
    told += [str(file.raw.mode), str(file.raw.name == sock.fileno()), str(isinstance(file.raw, socket.SocketIO))]
    sock.setblocking(False)
    told += [
        said(lambda: file.read1(100)),
        said(lambda: file.read(100)),
        said(lambda: file.raw.readinto(bytearray(9))),
    ]
    sock.settimeout(0.001)
    told += [said(lambda: file.read(100)), said(lambda: file.read(100))]
    sock.settimeout(None)
    told.append(said(lambda: file.read(100)))
    other = sock.makefile("rb", -1)
    client.close()
    told += [said(other.readline), said(other.readline)]
    sock.close()
    told.append(str(sock.fileno() >= 0))
    file.close()
    other.close()
    return [
        *told,
        str(sock.fileno()),
        said(lambda: other.read(1)),
        said(lambda: other.raw.readinto(memoryview(bytearray(1)))),
    ]


def test_an_accepted_sockets_file_does_what_an_ordinary_ones_does() -> None:
    found = []
    for make in (ordinary, accepted):
        client, server = socket.socketpair()
        with client:
            found.append(scene(make(server.detach()), client))

    assert found[0] == found[1]
    assert found[1][:3] == [repr(b"one\n"), repr(b"two\n"), repr(b"three")]


def test_a_reset_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    client, sock = pair
    sock.sendall(b"never read")
    with sock.makefile("rb", -1) as file:
        client.close()

        assert said(lambda: file.read(1)).startswith("ConnectionResetError")


def test_other_files_are_the_standard_librarys() -> None:
    client, server = socket.socketpair()
    with client, accepted(server.detach()) as sock:
        with sock.makefile("rb", -1) as file:
            assert type(file) is io.BufferedReader
            assert type(file.raw) is Incoming
        for mode, buffering in (("rb", 0), ("wb", -1), ("rwb", -1), ("r", -1)):
            with sock.makefile(mode, buffering) as other:  # type: ignore[call-overload]  # one for each mode
                assert not isinstance(getattr(other, "raw", other), Incoming)
