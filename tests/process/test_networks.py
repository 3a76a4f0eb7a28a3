"""Interfaces, multicast and broadcast for real: a server between two networks, in a jail, and clients on each."""

import ctypes
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forkful.conf.address import Address
from forkful.master.system.listeners import bind
from forkful.master.system.socket_options import FRESH, SocketOptions, apply, lacks
from tests.kit.jail import WORKER, Jail, Outcome, tell
from tests.kit.server import Server
from tests.kit.wait import PATIENCE, until

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
V4, V6 = "239.83.0.1", "ff02::83:1"
_NETWORKS = """
ip netns add peer
for n in 0 1; do
  ip link add v$n type veth peer name p$n netns peer
  ip addr add 10.83.$n.1/24 brd + dev v$n
  ip addr add fd83:$n::1/64 dev v$n nodad
  ip link set v$n up
  ip -n peer addr add 10.83.$n.2/24 brd + dev p$n
  ip -n peer addr add fd83:$n::2/64 dev p$n nodad
  ip -n peer link set p$n up
done
ip -n peer link set lo up
"""


def connect_networks() -> None:
    """The server's v0 and v1, and beyond them the clients' p0 and p1."""
    subprocess.run(["sh", "-ec", _NETWORKS], check=True)
    until(_is_up, what="routes between the networks")


def _is_up() -> bool:
    """Whether groups are sent to and from all four: the kernel looks at what has come up once a second at most."""
    ends: tuple[tuple[list[str], str], ...] = (([], "v0"), ([], "v1"), (["-n", "peer"], "p0"), (["-n", "peer"], "p1"))
    asked = (["ip", *where, "-6", "route", "get", V6, "oif", end] for where, end in ends)
    return all(subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in asked)


@contextmanager
def beyond() -> Iterator[None]:
    """What is made in here is on the clients' side, network_namespaces(7)."""
    with Path("/proc/self/ns/net").open() as here, Path("/run/netns/peer").open() as there:
        assert _libc.setns(there.fileno(), _CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert _libc.setns(here.fileno(), _CLONE_NEWNET) == 0


def client(family: socket.AddressFamily, network: int) -> socket.socket:
    """One who sends datagrams from that network."""
    with beyond():
        sock = socket.socket(family, socket.SOCK_DGRAM)
        index = socket.if_nametoindex(f"p{network}")
    sock.settimeout(PATIENCE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    else:
        sock.bind(("0.0.0.0", 0))
        request = struct.pack("=4s4si", bytes(4), bytes(4), index)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
    return sock


def hears(group: str, network: int, port: int = 7000) -> bool:
    """Whether the server answers what is sent to this group; an answer to what is sent to itself comes in any case."""
    six = ":" in group
    with client(socket.AF_INET6 if six else socket.AF_INET, network) as sock:
        sock.sendto(b"group", (group, port))
        own = f"fd83:{network}::1" if six else f"10.83.{network}.1"
        sock.sendto(b"own", (own, port))
        answers = [sock.recv(100)]
        while answers[-1] != b"own":
            answers.append(sock.recv(100))
        return b"group" in answers


def who_is_heard() -> dict[str, list[bool]]:
    return {group: [hears(group, network) for network in (0, 1)] for group in (V4, V6)}


HANDLERS = {
    "a lane": 'handler = "networked:Echo"',
    "a protocol": 'handler = "networked:Protocol"',
}


def config(server: Server | None, handler: str, *lines: str, bind: str = '"udp://*:7000"') -> str:
    text = "\n".join([f"[pool.main]\n{handler}", f"bind = [{bind}]", *lines, ""])
    if server is not None:
        server.configure(text)
        assert server.reload().returncode == 0
    return text


def groups(jail: Jail) -> Outcome:
    connect_networks()
    handler = HANDLERS[os.environ["KIND"]]
    joined = f'multicast = ["{V4}%v0", "{V6}%v0"]'
    server = jail.server(config=config(None, handler, joined), user=0)
    found = {"joined": who_is_heard()}
    config(server, handler, joined, "backlog = 9")
    found["reloaded"] = who_is_heard()
    server.usr2()
    found["upgraded"] = who_is_heard()
    config(server, handler, f'multicast = ["{V4}%v1", "{V6}%v1"]')
    found["elsewhere"] = who_is_heard()
    config(server, handler)
    found["left"] = who_is_heard()
    listed = Path("/proc/net/igmp").read_text() + Path("/proc/net/igmp6").read_text()
    return {**found, "listed": "010053EF" in listed or "00830001" in listed}


@pytest.mark.parametrize("kind", HANDLERS)
def test_a_membership_is_of_one_network_and_outlives_reloads_and_upgrades(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIND", kind)

    found = tell(groups)

    first = {V4: [True, False], V6: [True, False]}
    assert found["joined"] == found["reloaded"] == found["upgraded"] == first
    assert found["elsewhere"] == {V4: [False, True], V6: [False, True]}
    assert found["left"] == {V4: [False, False], V6: [False, False]}
    assert not found["listed"], "the kernel knows of no member any more"


def groups_by_address(jail: Jail) -> Outcome:
    """Each address of a pool joins groups of its own."""
    connect_networks()
    binds = '"udp://0.0.0.0:7000", "udp://[::]:7000", "udp://0.0.0.0:7001"'
    apart = f'[pool.main.listener."udp://0.0.0.0:7001"]\nmulticast = ["{V4}%v1"]'
    lines = (f'multicast = ["{V4}%v0", "{V6}%v1"]', apart)
    jail.server(config=config(None, HANDLERS["a lane"], *lines, bind=binds), user=0)
    return {"7000": who_is_heard(), "7001": [hears(V4, network, 7001) for network in (0, 1)]}


def test_addresses_of_a_pool_join_groups_of_their_own() -> None:
    found = tell(groups_by_address)

    assert found["7000"] == {V4: [True, False], V6: [False, True]}
    assert found["7001"] == [False, True]


def is_let_in(host: str, port: int) -> bool:
    with beyond():
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    with sock:
        sock.settimeout(PATIENCE)
        try:
            sock.connect((host, port))
            sock.sendall(b"x\n")
            return sock.recv(10) == b"X\n"
        except ConnectionRefusedError:
            return False


HOSTS = ("10.83.0.1", "10.83.1.1", "fd83:0::1", "fd83:1::1")


def devices(jail: Jail) -> Outcome:
    connect_networks()
    handler, bind = 'handler = "classic:LineHandler"', '"tcp://*:7000"'
    server = jail.server(config=config(None, handler, 'bind_device = "v0"', bind=bind), user=0)

    def asked() -> list[bool]:
        return [is_let_in(host, 7000) for host in HOSTS]

    inodes = server.listening_inodes()
    found = {"v0": asked()}
    config(server, handler, 'bind_device = "v1"', bind=bind)
    found["v1"] = asked()
    server.usr2()
    found["upgraded"] = asked()
    config(server, handler, bind=bind)
    return {**found, "any": asked(), "same": server.listening_inodes() == inodes}


def test_a_device_is_listened_on_whatever_its_addresses_are_and_a_reload_changes_it() -> None:
    found = tell(devices)

    assert found["v0"] == [True, False, True, False]
    assert found["v1"] == found["upgraded"] == [False, True, False, True]
    assert found["any"] == [True] * 4
    assert found["same"]


def broadcasts(jail: Jail) -> Outcome:
    """What is sent to a whole network is heard; an answer to all of it needs the option."""
    connect_networks()
    handler, bind = 'handler = "networked:Shout"', '"udp://0.0.0.0:7000"'
    server = jail.server(config=config(None, handler, bind=bind), user=0)

    def answered() -> str:
        with client(socket.AF_INET, 0) as sock:
            sock.sendto(b"everybody", ("10.83.0.255", 7000))
            return sock.recv(100).decode()

    found = {"without": answered()}
    config(server, handler, "broadcast = true", bind=bind)
    found["with"] = answered()
    server.usr2()
    return {**found, "upgraded": answered()}


def test_a_handler_may_answer_a_whole_network_with_the_option_alone() -> None:
    found = tell(broadcasts)

    assert (found["without"], found["with"], found["upgraded"]) == ("not allowed", "everybody", "everybody")


def unplugged(jail: Jail) -> Outcome:
    """A client whose cable is pulled: nobody tells the server, which asks."""
    connect_networks()
    lines = ("keepalive_idle = 1", "write_timeout = 0")
    found = {}
    for port, said in ((7000, lines), (7001, lines[1:])):
        text = config(None, 'handler = "classic:LineHandler"', *said, bind=f'"tcp://10.83.0.1:{port}"')
        server = jail.server(config=text, user=0)
        with beyond():
            sock = socket.create_connection(("10.83.0.1", port), timeout=PATIENCE)
        sock.sendall(b"x\n")
        assert sock.recv(10) == b"X\n"
        subprocess.run(["ip", "-n", "peer", "link", "set", "p0", "down"], check=True)

        def served(server: Server = server) -> float:
            return server.metrics().sum("forkful_requests_in_flight")

        if said is lines:
            server.wait_until(lambda: not served(), what="the end of the connection")
        found[str(port)] = served()
        subprocess.run(["ip", "-n", "peer", "link", "set", "p0", "up"], check=True)
        sock.close()
    return found


def test_a_client_that_is_silently_gone_is_found_by_keepalive() -> None:
    found = tell(unplugged)

    assert (found["7000"], found["7001"]) == (0, 1)


def unprivileged(jail: Jail) -> Outcome:
    """A master that is not root may choose a device once, and has buffers up to the system's limit."""

    def tries() -> None:
        options = SocketOptions(receive_buffer=1 << 28, bind_device="lo", nodelay=True)
        sock = bind(Address.parse("tcp://127.0.0.1:0"), options=options).sock
        (told,) = lacks(sock, options)
        assert told.endswith("raise net.core.rmem_max"), told
        apply(sock, options, FRESH)  # again is no other device
        with pytest.raises(PermissionError, match="bind_device"):
            apply(sock, FRESH, options)
        assert not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "the others are taken back all the same"

    jail.does(tries)
    flags = ("--receive-buffer", "256M", "--bind-device", "lo")
    server = jail.server(*flags, user=WORKER, wrapper=_AS_WORKER, ready=False)  # it cannot reach our NOTIFY_SOCKET
    log = server.wait_for_log("raise net.core.rmem_max")
    return {"told": "receive_buffer is" in log}


_AS_WORKER = ("setpriv", f"--reuid={WORKER}", f"--regid={WORKER}", "--clear-groups")


def test_without_roots_rights_what_cannot_be_had_is_told() -> None:
    assert tell(unprivileged)["told"]
