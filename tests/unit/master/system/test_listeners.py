"""Binding: what is made, what is refused, and what the refusal says."""

import os
import socket
from pathlib import Path

import pytest

from forkful.conf.address import Address, Kind
from forkful.master.system.listeners import BindError, bind, close_all, queue_facts, turn_away


def test_port_zero_is_told_as_the_port_in_use() -> None:
    listener = bind(Address.parse("tcp://127.0.0.1:0"))
    port = listener.sock.getsockname()[1]
    assert (listener.bound, listener.kind) == (f"tcp://127.0.0.1:{port}", Kind.STREAM)
    listener.close()


@pytest.mark.parametrize(("text", "kind"), [("udp://127.0.0.1:0", Kind.DATAGRAM), ("tcp://[::1]:0", Kind.STREAM)])
def test_the_scheme_gives_the_kind(text: str, kind: Kind) -> None:
    listener = bind(Address.parse(text))
    assert listener.kind is kind
    listener.close()


def test_a_star_takes_both_families_in_one_socket() -> None:
    listener = bind(Address.parse("tcp://*:0"))
    port = listener.sock.getsockname()[1]
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, port), timeout=5).close()
    listener.close()


def test_a_taken_port_names_the_address_the_errno_and_the_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        address = Address.parse(f"tcp://127.0.0.1:{holder.getsockname()[1]}")
        with pytest.raises(BindError) as refused:
            bind(address)
    assert str(address) in str(refused.value)
    assert "EADDRINUSE" in str(refused.value)
    assert f"process {os.getpid()}" in str(refused.value)


def test_a_stale_socket_file_is_replaced_and_a_used_one_is_not(tmp_path: Path) -> None:
    address = Address.parse(f"unix://{tmp_path}/s")
    bind(address).close()  # the file stays, as after a crash
    listener = bind(address)
    with pytest.raises(BindError, match="a process listens on it"):
        bind(address)
    close_all([listener])
    assert not (tmp_path / "s").exists()


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    precious = tmp_path / "s"
    precious.write_text("mine")
    with pytest.raises(BindError, match="not a socket"):
        bind(Address.parse(f"unix://{precious}"))
    assert precious.read_text() == "mine"


def test_a_socket_file_that_somebody_else_put_in_our_place_stays(tmp_path: Path) -> None:
    address = Address.parse(f"unix://{tmp_path}/s")
    ours = bind(address)
    (tmp_path / "s").unlink()
    theirs = bind(address)
    close_all([ours])
    assert (tmp_path / "s").exists()
    close_all([theirs])


@pytest.mark.parametrize(
    ("address", "word"),
    [
        (Address("fd", fd=987), "EBADF"),
        (Address("tcp", host="192.0.2.1", port=0), "no interface"),
        (Address("unix", path="/nowhere/at/all/s"), "directory"),
    ],
)
def test_a_refusal_says_what_to_change(address: Address, word: str) -> None:
    with pytest.raises(BindError, match=word):
        bind(address)


def test_a_descriptor_that_is_no_socket_is_refused() -> None:
    read, write = os.pipe()
    with pytest.raises(BindError, match="not a socket"):
        bind(Address("fd", fd=read))
    os.close(read)
    os.close(write)


def test_the_kernel_tells_the_queue_of_a_stream_listener() -> None:
    listener = bind(Address.parse("tcp://127.0.0.1:0"), backlog=7)
    with socket.create_connection(listener.sock.getsockname(), timeout=5):
        facts = queue_facts(listener)
    assert (facts.length, facts.limit) == (1, 7)
    listener.close()


def test_the_kernel_tells_the_queue_of_a_unix_listener_too(tmp_path: Path) -> None:
    path = tmp_path / "queue.sock"
    listener = bind(Address.parse(f"unix://{path}"), backlog=7)
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.connect(str(path))
        other.connect(str(path))
        facts = queue_facts(listener)
        assert (facts.length, facts.limit) == (2, 7)
        listener.sock.accept()[0].close()
        assert queue_facts(listener).length == 1
    close_all([listener])


def test_the_kernel_tells_the_drops_of_a_datagram_listener() -> None:
    listener = bind(Address.parse("udp://127.0.0.1:0"))
    listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(20):
            sender.sendto(bytes(1000), listener.sock.getsockname())
    assert (queue_facts(listener).drops or 0) > 0
    listener.close()


def _state(client: socket.socket) -> int:
    """Of a TCP socket, net/tcp_states.h: on loopback a handshake is over when connect(2) returns, or it is not."""
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "*"])
def test_who_is_turned_away_never_gets_into_the_queue_and_who_is_in_it_stays(host: str) -> None:
    established, syn_sent = 1, 2
    listener = bind(Address.parse(f"tcp://{host}:0"))
    where = ("127.0.0.1" if host == "*" else listener.sock.getsockname()[0], listener.sock.getsockname()[1])
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    with socket.socket(family) as early, socket.socket(family) as late:
        for client in (early, late):
            client.setblocking(False)
            client.connect_ex(where)
            turn_away(listener)
        assert (_state(early), _state(late)) == (established, syn_sent)
        early.sendall(b"in time")
        listener.sock.setblocking(False)
        accepted, _ = listener.sock.accept()
        assert accepted.recv(10) == b"in time"
        accepted.close()
        with pytest.raises(BlockingIOError):
            listener.sock.accept()
    listener.close()


def test_a_socket_that_was_handed_to_us_is_never_closed_to_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        listener = bind(Address("fd", fd=os.dup(theirs.fileno())))
        turn_away(listener)
        socket.create_connection(theirs.getsockname(), timeout=5).close()
        listener.close()


def test_a_descriptor_that_is_a_connection_is_refused_and_left_alone() -> None:
    """Behind the number may be anything that this process has open, like the master's channel to a worker."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(BindError, match="is a connection"):
            bind(Address("fd", fd=ours.fileno()))
        theirs.send(b"still here")
        assert ours.recv(100) == b"still here"


@pytest.mark.parametrize(
    ("family", "kind", "words"),
    [
        (socket.AF_UNIX, socket.SOCK_SEQPACKET, "AF_UNIX SOCK_SEQPACKET"),
        (socket.AF_NETLINK, socket.SOCK_DGRAM, "AF_NETLINK SOCK_DGRAM"),
    ],
)
def test_a_socket_that_nobody_serves_is_refused_in_words(
    family: socket.AddressFamily, kind: socket.SocketKind, words: str
) -> None:
    with socket.socket(family, kind) as sock:
        with pytest.raises(BindError, match=f"is a socket of a kind that is not served: {words}"):
            bind(Address("fd", fd=sock.fileno()))
        assert sock.type == kind


def test_a_socket_that_was_handed_over_non_blocking_is_blocking_for_who_serves_it() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    listener = bind(Address("fd", fd=sock.detach()))
    assert os.get_blocking(listener.sock.fileno())
    listener.close()
