"""The kernel's rule does what `steering` says, whoever else joins the group."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from ipaddress import ip_address

import pytest

from forkful.conf.address import Address
from forkful.master.policy.steering import slot_of
from forkful.master.system import listeners, peer_group
from forkful.master.system.listeners import Listener, queue_facts
from forkful.master.system.socket_options import FRESH


def form(host: str, slots: int) -> Listener:
    return peer_group.form(listeners.bind(Address("udp", host=host)), slots, [], FRESH)


@pytest.fixture
def group() -> Iterator[Listener]:
    found = form("127.0.0.1", 3)
    yield found
    found.close()


def stranger(listener: Listener) -> socket.socket:
    """What another program of the same user does."""
    other = socket.socket(listener.sock.family, socket.SOCK_DGRAM)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    other.bind(listener.sock.getsockname())
    return other


def came_by(listener: Listener, source: str, count: int) -> list[tuple[int, list[int]]]:
    """For so many peers: their port, and the slots where their datagram is."""
    found = []
    target = ("::1" if ":" in source else "127.0.0.1", listener.sock.getsockname()[1])
    for sock in listener.sockets:
        sock.setblocking(False)
    for _ in range(count):
        with socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind((source, 0))
            peer.sendto(b"x", target)
            slots = []
            for slot, sock in enumerate(listener.sockets):
                try:
                    sock.recv(10)
                except BlockingIOError:
                    continue
                slots.append(slot)
            found.append((peer.getsockname()[1], slots))
    return found


@pytest.mark.parametrize(
    ("host", "source", "slots"),
    [
        ("127.0.0.1", "127.0.0.1", 1),
        ("127.0.0.1", "127.0.0.2", 5),
        ("*", "127.0.0.3", 64),
        ("*", "::1", 4),
        ("::1", "::1", 256),
    ],
)
def test_a_peer_reaches_the_slot_that_steering_names(host: str, source: str, slots: int) -> None:
    with closing(form(host, slots)) as listener:
        for port, found in came_by(listener, source, 100):
            assert found == [slot_of(ip_address(source), port, slots)]


def test_nobody_moves_when_others_join_and_leave(group: Listener) -> None:
    with ExitStack() as stack:
        others = [stack.enter_context(stranger(group)) for _ in range(3)]
        connected = stack.enter_context(stranger(group))
        connected.connect(("127.0.0.1", 9))
        for port, found in came_by(group, "127.0.0.1", 50):
            assert found == [slot_of(ip_address("127.0.0.1"), port, 3)]
        others[0].close()
        for port, found in came_by(group, "127.0.0.1", 50):
            assert found == [slot_of(ip_address("127.0.0.1"), port, 3)]


def test_a_group_with_a_stranger_in_it_gets_no_more_slots(group: Listener) -> None:
    with stranger(group), pytest.raises(OSError, match="another program has joined"):
        peer_group.grow(group, 4, FRESH)
    peer_group.grow(group, 4, FRESH)
    peer_group.steer(group, 4)
    assert {slot for _, found in came_by(group, "127.0.0.1", 60) for slot in found} == {0, 1, 2, 3}


def test_a_port_that_somebody_has_is_not_shared_with_him() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        with pytest.raises(listeners.BindError, match="EADDRINUSE"):
            listeners.bind(Address("udp", host="127.0.0.1", port=other.getsockname()[1]))


def test_what_any_slot_drops_is_counted(group: Listener) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for _ in range(2000):
            peer.sendto(b"x" * 1000, group.sock.getsockname())
    drops = queue_facts(group).drops
    assert drops is not None
    assert drops > 0
