"""Options of sockets: asked of the kernel after they were set, changed and taken back; and what it refuses."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forkful.conf.address import Address
from forkful.conf.plan import PoolPlan
from forkful.master.system.listeners import BindError, bind
from forkful.master.system.socket_options import FRESH, SocketOptions, apply, lacks, missing

_MULTICAST_ALL = 49
ALL = SocketOptions(
    keepalive_idle=30.0, nodelay=True, defer_accept=2.0, receive_buffer=100_000, send_buffer=150_000, bind_device="lo"
)


@pytest.fixture(params=["tcp", "tcp6", "udp", "udp6", "unix", "unixgram"])
def sock(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    unix, six = request.param.startswith("unix"), request.param.endswith("6")
    kind = socket.SOCK_STREAM if request.param in {"tcp", "tcp6", "unix"} else socket.SOCK_DGRAM
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET6 if six else socket.AF_INET, kind) as found:
        yield found


def state(sock: socket.socket) -> dict[str, Any]:  # Any: numbers, bytes
    """All that may be set, as the kernel has it."""
    names = [("SOL_SOCKET", name) for name in ("SO_KEEPALIVE", "SO_RCVBUF", "SO_SNDBUF", "SO_BROADCAST")]
    if sock.family != socket.AF_UNIX and sock.type == socket.SOCK_STREAM:
        keeps = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_NODELAY", "TCP_DEFER_ACCEPT", "TCP_USER_TIMEOUT")
        names += [("IPPROTO_TCP", name) for name in keeps]
    found: dict[str, Any] = {  # Any: as above
        name: sock.getsockopt(getattr(socket, level), getattr(socket, name)) for level, name in names
    }
    if sock.family != socket.AF_UNIX:
        found["device"] = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0")
    found["locked"] = sock.getsockopt(socket.SOL_SOCKET, 72)
    return found


def test_what_is_set_and_taken_back_leaves_a_socket_as_new(sock: socket.socket) -> None:
    before = state(sock)
    options = replace(ALL, broadcast=True, multicast=("239.83.2.1%lo", "ff02::83:1%lo"), write_timeout=7.0)

    apply(sock, options, FRESH)
    changed = {name for name, value in state(sock).items() if value != before[name]}
    apply(sock, FRESH, options)

    assert state(sock) == before
    if sock.family == socket.AF_UNIX:
        assert changed == (set() if sock.type == socket.SOCK_STREAM else {"SO_SNDBUF", "locked"})
    elif sock.type == socket.SOCK_STREAM:
        assert changed == set(before) - {"SO_BROADCAST"}
    else:
        assert changed == {"SO_RCVBUF", "SO_SNDBUF", "SO_BROADCAST", "device", "locked"}


def test_what_nobody_speaks_of_stays_as_somebody_else_set_it(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    before = state(sock)

    apply(sock, FRESH, FRESH)
    assert state(sock) == before


@pytest.mark.parametrize("sock", ["tcp", "udp"], indirect=True)
def test_a_socket_of_which_nothing_is_known_gets_all_of_them(sock: socket.socket) -> None:
    new = state(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    if sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    apply(sock, FRESH, None)
    assert {**state(sock), "SO_BROADCAST": 0} == new


def member(sock: socket.socket, group: str, option: int = socket.IP_DROP_MEMBERSHIP) -> bool:
    """Whether it was one, for only members can leave."""
    lo = socket.if_nametoindex("lo")
    six = ":" in group
    packed = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, group)
    request = packed + (b"" if six else bytes(4)) + lo.to_bytes(4, "little")
    level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
    try:
        sock.setsockopt(level, socket.IPV6_LEAVE_GROUP if six else option, request)
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "joined"),
    [
        ("0.0.0.0", ["239.83.3.1"]),
        ("[::]", ["ff02::83:2"]),
        ("*", ["239.83.3.1", "ff02::83:2"]),
        ("239.83.3.1", ["239.83.3.1"]),
    ],
)
def test_a_socket_joins_the_groups_of_its_families_and_hears_no_others(host: str, joined: list[str]) -> None:
    options = SocketOptions(multicast=("239.83.3.1%lo", "ff02::83:2%lo"))
    listener = bind(Address.parse(f"udp://{host}:0"), options=options)

    assert listener.sock.getsockopt(socket.IPPROTO_IP, _MULTICAST_ALL) == 0
    apply(listener.sock, options, options)  # as each reload does
    assert [group for group in ("239.83.3.1", "ff02::83:2") if member(listener.sock, group)] == joined
    listener.close()


def test_groups_that_the_settings_have_no_more_are_left_and_others_stay() -> None:
    old = SocketOptions(multicast=("239.83.4.1%lo", "239.83.4.2%lo"))
    new = SocketOptions(multicast=("239.83.4.2%lo", "239.83.4.3%lo"))
    listener = bind(Address.parse("udp://0.0.0.0:0"), options=old)

    apply(listener.sock, new, old)

    found = [member(listener.sock, f"239.83.4.{number}") for number in (1, 2, 3)]
    assert found == [False, True, True]
    apply(listener.sock, FRESH, new)
    assert listener.sock.getsockopt(socket.IPPROTO_IP, _MULTICAST_ALL) == 1
    listener.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_a_socket_of_which_nothing_is_known_leaves_what_it_joined_before(host: str) -> None:
    old = SocketOptions(multicast=("239.83.6.1%lo", "239.83.6.2%lo", "ff02::83:6%lo", "ff02::83:7%lo"))
    new = SocketOptions(multicast=("239.83.6.2%lo", "ff02::83:7%lo"))
    listener = bind(Address.parse(f"udp://{host}:0"), options=old)

    apply(listener.sock, new, None)

    groups = ("239.83.6.1", "239.83.6.2") if host == "0.0.0.0" else ("ff02::83:6", "ff02::83:7")  # loopback's
    assert [member(listener.sock, group) for group in groups] == [False, True]
    listener.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (SocketOptions(bind_device="nosuch0"), "no interface has that name"),
        (SocketOptions(multicast=("239.83.5.1%nosuch0",)), "multicast 239.83.5.1%nosuch0"),
    ],
)
def test_what_the_kernel_refuses_is_told_with_the_address_and_the_key(options: SocketOptions, words: str) -> None:
    with pytest.raises(BindError) as refused:
        bind(Address.parse("udp://0.0.0.0:0"), options=options)
    assert str(refused.value).startswith("cannot listen on udp://0.0.0.0:0: ")
    assert words in str(refused.value)
    assert missing(options) == "nosuch0"


def test_one_that_is_refused_keeps_none_of_the_others_back() -> None:
    with socket.socket() as sock:
        with pytest.raises(OSError, match=r"bind_device = nosuch0: .*"):
            apply(sock, replace(ALL, bind_device="nosuch0"), FRESH)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_buffer_beyond_the_systems_limit_is_had_by_root_and_told_to_others(sock: socket.socket) -> None:
    limit = int(Path("/proc/sys/net/core/rmem_max").read_text())
    options = SocketOptions(receive_buffer=limit + 4096)
    if sock.family == socket.AF_UNIX:
        apply(sock, options, FRESH)
        assert list(lacks(sock, options)) == []
    elif os.geteuid() == 0:
        apply(sock, options, FRESH)
        assert list(lacks(sock, options)) == []
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limit + 4096)  # as somebody else would
        assert list(lacks(sock, options)) == [
            f"receive_buffer is {limit:,} bytes and not {limit + 4096:,}: raise net.core.rmem_max"
        ]
    else:
        apply(sock, options, FRESH)
        assert len(list(lacks(sock, options))) == 1


def test_they_are_read_of_a_plan_and_http_has_its_own_clock_for_writes() -> None:
    plan = PoolPlan("a", "x:y", (), write_timeout=5.0, nodelay=True)

    assert SocketOptions.of(plan, Address.parse("tcp://:1")) == SocketOptions(write_timeout=5.0, nodelay=True)
    assert SocketOptions.of(plan, Address.parse("http://:1")) == SocketOptions(nodelay=True)
