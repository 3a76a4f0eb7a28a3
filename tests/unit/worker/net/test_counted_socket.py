"""A connection's byte counts, as the kernel knows them."""

import multiprocessing
import socket
import tempfile
from collections.abc import Callable, Iterator

import pytest

from forkful.worker.net.counted_socket import Connection, abandoned, is_counted, last_info, traffic
from tests.kit import environment

Pair = tuple[socket.socket, Connection]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A client, and our end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        sock, _ = listener.accept()
        with Connection(sock.family, sock.type, sock.proto, sock.detach()) as connection:
            client.settimeout(10)
            connection.settimeout(10)
            yield client, connection


def read(sock: socket.socket, size: int) -> None:
    while size:
        size -= len(sock.recv(size))


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while chunk := sock.recv(65536):
        data += chunk
    return data


def nothing(client: socket.socket, connection: Connection) -> None: ...


def end_of_client(client: socket.socket, connection: Connection) -> None:
    client.shutdown(socket.SHUT_WR)
    read_all(connection)


def shut_down(client: socket.socket, connection: Connection) -> None:
    connection.shutdown(socket.SHUT_WR)
    read_all(client)


def both_ends(client: socket.socket, connection: Connection) -> None:
    end_of_client(client, connection)
    shut_down(client, connection)


@pytest.mark.parametrize("ending", [nothing, end_of_client, shut_down, both_ends])
@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_bytes_are_counted_whatever_the_end(
    pair: Pair, ending: Callable[[socket.socket, Connection], None], size: int
) -> None:
    client, connection = pair
    client.sendall(b"x" * size)
    read(connection, size)
    connection.sendall(b"y" * size * 2)
    read(client, size * 2)
    ending(client, connection)
    connection.close()
    assert traffic(last_info(connection)) == (size, size * 2)


def test_what_the_peer_has_not_read_is_counted_as_sent(pair: Pair) -> None:
    _, connection = pair
    connection.setblocking(False)
    sent = 0
    while True:
        try:
            sent += connection.send(bytes(65536))
        except BlockingIOError:
            break
    assert traffic(last_info(connection)) == (0, sent)


def test_file_objects_and_closed_sockets_are_counted_too(pair: Pair) -> None:
    client, connection = pair
    client.sendall(b"123")
    with connection.makefile("rwb") as file:
        assert file.read(3) == b"123"
        connection.close()
        assert traffic(last_info(connection)) == (3, 0)
        file.write(b"45")
    assert client.recv(2) == b"45"
    assert traffic(last_info(connection)) == (3, 2)


def test_what_is_not_counted_is_nothing() -> None:
    with socket.socket(socket.AF_UNIX) as unix, socket.create_server(("127.0.0.1", 0)) as tcp:
        assert not is_counted(unix)
        assert is_counted(tcp)
        assert traffic(last_info(unix)) == (0, 0)
    assert traffic(last_info((b"data", None))) == (0, 0)


def test_a_detached_or_abandoned_socket_can_be_closed(pair: Pair) -> None:
    _, connection = pair
    fd = connection.detach()
    connection.close()
    assert traffic(last_info(connection)) == (0, 0)
    closed = abandoned(fd)
    closed.close()
    assert traffic(last_info(closed)) == (0, 0)
    with pytest.raises(OSError, match="Bad file"):
        socket.socket(fileno=fd)


def test_it_can_be_given_to_another_process(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", environment.short(tempfile.gettempdir()))  # a Unix socket of the library's
    client, connection = pair
    ours, theirs = multiprocessing.Pipe()
    ours.send(connection)
    received = theirs.recv()
    assert isinstance(received, socket.socket)
    received.sendall(b"hello")
    assert client.recv(5) == b"hello"
    for thing in (received, ours, theirs):
        thing.close()
