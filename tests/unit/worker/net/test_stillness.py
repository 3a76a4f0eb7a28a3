"""Stillness of real connections over loopback, at times that the test says."""

import socket
from collections.abc import Iterator

import pytest

from forkful.worker.net.stillness import NO_LIMITS, StillLimits, Stillness, end

Pair = tuple[socket.socket, socket.socket]
IDLE, READ = StillLimits(idle=10.0), StillLimits(read=10.0)


@pytest.fixture
def pair() -> Iterator[Pair]:
    """(ours, the client's)"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
        with client, ours:
            yield ours, client


def taken(ours: socket.socket, data: bytes) -> None:
    ours.settimeout(5)
    assert ours.recv(len(data), socket.MSG_WAITALL) == data


def test_what_never_moves_is_idle_once_the_time_is_over(pair: Pair) -> None:
    still = Stillness(100.0)
    assert [still.exceeds(IDLE, pair[0], now) for now in (100.0, 109.9, 110.0)] == ["", "", "idle_timeout"]


@pytest.mark.parametrize("ours_sends", [True, False])
def test_a_byte_in_either_direction_is_movement(pair: Pair, ours_sends: bool) -> None:
    ours, client = pair
    still = Stillness(100.0)
    assert still.exceeds(IDLE, ours, 101.0) == ""
    sender, receiver = (ours, client) if ours_sends else (client, ours)
    sender.sendall(b"x")
    taken(receiver, b"x")
    client.sendall(b"")  # what was acknowledged is known by now: the other side has read it over loopback
    assert [still.exceeds(IDLE, ours, now) for now in (109.0, 118.9, 119.0)] == ["", "", "idle_timeout"]


def test_bytes_that_nobody_has_read_are_no_fault_of_the_client(pair: Pair) -> None:
    ours, client = pair
    still = Stillness(100.0)
    client.sendall(b"x")
    ours.settimeout(5)
    assert ours.recv(1, socket.MSG_PEEK) == b"x"
    assert [still.exceeds(IDLE, ours, now) for now in (101.0, 150.0, 200.0)] == ["", "", ""]
    taken(ours, b"x")
    assert [still.exceeds(IDLE, ours, now) for now in (209.9, 210.0)] == ["", "idle_timeout"]


def test_only_a_handler_that_waits_is_kept_waiting(pair: Pair) -> None:
    ours, _ = pair
    still = Stillness(100.0)
    assert [still.exceeds(READ, ours, now) for now in (100.0, 150.0)] == ["", ""]
    assert [still.exceeds(READ, ours, now, waits=True) for now in (151.0, 160.9)] == ["", ""]
    assert still.exceeds(READ, ours, 161.0, waits=False) == "", "it does something else now"
    assert [still.exceeds(READ, ours, now, waits=True) for now in (162.0, 172.0)] == ["", "read_timeout"]


def test_unix_sockets_and_closed_ones_are_never_still() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert Stillness(0.0).exceeds(IDLE, one, 100.0) == ""
        assert end(one)
        assert other.recv(1) == b""
    assert Stillness(0.0).exceeds(IDLE, one, 100.0) == ""
    assert not end(one)
    assert not end(None)


def test_it_is_looked_at_often_enough_and_not_too_often() -> None:
    assert (IDLE.every, StillLimits(idle=0.4, read=60).every) == (1.0, 0.05)
    assert not NO_LIMITS
