"""`max_connections_per_ip` and `max_rate_per_ip`: for every kind of handler, over all workers, whatever happens."""

import contextlib
import itertools
import os
import random
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from tests.conftest import Ask, Serve
from tests.kit.door import Door, read_all
from tests.kit.server import Server
from tests.kit.wait import until

Doors = Callable[[str], Door]
GET = b"GET / HTTP/1.0\r\n\r\n"
HERE, THERE = "127.0.0.2", "127.0.0.3"
OPEN = "forkful_connections_active"

#: Handlers on every loop there is, with room for more connections than the limit.
STREAMS = {
    "lanes": ("forkful.handlers.echo:EchoStream", ("--threads", "6")),
    "threads of the program": ("holding:Unbound", ()),
    "held by a thread": ("holding:OwnThread", ()),
    "kept open": ("holding:KeepsOpen", ()),
    "detached": ("holding:Detaches", ()),
    "a coroutine": ("loops:echo", ()),
    "a coroutine on asyncio": ("loops:echo", ("--event-loop", "asyncio")),
    "a protocol": ("loops:Echo", ()),
    "a protocol on asyncio": ("loops:Echo", ("--event-loop", "asyncio")),
    "a protocol with slots": ("loops:Slotted", ()),
    "WSGI": ("wsgi:about", ("--interface", "wsgi")),
    "WSGI in threads": ("wsgi:about", ("--interface", "wsgi", "--threads", "3")),
    "ASGI": ("asgi:echo", ("--interface", "asgi")),
    "ASGI on asyncio": ("asgi:echo", ("--interface", "asgi", "--event-loop", "asyncio")),
}

SOME = {kind: STREAMS[kind] for kind in ("lanes", "a coroutine", "a protocol", "WSGI", "ASGI")}
CROWDED, RATE = ({"name": "forkful_refused_total", "reason": reason} for reason in ("crowded", "rate"))


def refused(server: Server, reason: str) -> float:
    return server.metrics().sum("forkful_refused_total", pool="main", reason=reason)


def is_served(door: Door, host: str, words: bytes = GET) -> bool:
    return not door.is_refused(host, words)


def holds(server: Server, count: int) -> bool:
    """Whether so many connections were accepted and are open."""
    metrics = server.metrics()
    return metrics.sum("forkful_connections_active") == count


@pytest.mark.parametrize("kind", STREAMS)
def test_an_address_has_so_many_connections_and_another_when_one_is_closed(kind: str, share: Ask) -> None:
    words = b"x" if STREAMS[kind][0].startswith("holding") else GET  # by one byte: a reset would be an error of theirs
    mine = share(kind, STREAMS, "--max-connections-per-ip", "2")
    door = mine.door
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(door.connect_from(HERE)) for _ in range(2)]
        mine.wait_for(2, OPEN)

        assert door.is_refused(HERE, words)
        assert is_served(door, THERE, words), "others are not concerned"
        assert mine.sum(**CROWDED) == 1
        held[0].close()
        until(lambda: is_served(door, HERE, words), what="room for another one")
    mine.wait_for(0, OPEN)
    with door.connect_from(HERE), door.connect_from(HERE):
        mine.wait_for(2, OPEN)
        assert door.is_refused(HERE, words)


@pytest.mark.parametrize("handler", ["ClosesEarly", "ClosesFiles", "ClosesSecured()"])
def test_a_connection_that_its_handler_has_closed_is_none_whatever_the_handler_does_then(
    handler: str, serve: Serve, doors: Doors, certificate: Path
) -> None:
    door = doors("tcp")
    flags = ("--threads", "3", "--max-connections-per-ip", "1")
    server = serve(f"holding:{handler}", *flags, binds=[door], env={"CERTIFICATE": str(certificate)})
    context = ssl.create_default_context(cafile=str(certificate))
    for _ in range(3):
        client = door.connect_from(HERE)
        if "Secured" in handler:
            client = context.wrap_socket(client, server_hostname="localhost")
        with client:
            client.sendall(b"x")
            assert client.recv(1) == b"x", "the one before is closed"
        assert server.events.next() == "closed"
    assert server.pool()["in_flight"] == 3, "its handlers work on"
    assert refused(server, "crowded") == 0
    server.events.let_through(3)
    server.wait_until(lambda: server.pool()["in_flight"] == 0, what="the end of all three")


@pytest.mark.parametrize("kind", SOME)
def test_the_limit_is_that_of_all_workers_together(kind: str, share: Ask) -> None:
    mine = share(kind, SOME, "--workers", "3", "--max-connections-per-ip", "3")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(mine.door.connect_from(HERE)) for _ in range(12)]
        mine.wait_for(9, **CROWDED)
        ends = [client for client in clients if is_over(client)]
        assert len(ends) == 9
        assert mine.sum(OPEN) == 3


def is_over(client: socket.socket) -> bool:
    client.settimeout(0)
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
    except BlockingIOError:
        return False


@pytest.mark.parametrize("kind", SOME)
@pytest.mark.parametrize("first", ["the server closes", "the client closes"])
def test_a_client_that_comes_again_at_once_is_never_one_too_many(kind: str, first: str, share: Ask) -> None:
    mine = share(kind, SOME, "--workers", "2", "--max-connections-per-ip", "1")
    for _ in range(150):
        with mine.door.connect_from(HERE) as client:
            client.sendall(GET)
            assert client.recv(1)
            if first == "the server closes":
                client.shutdown(socket.SHUT_WR)
                read_all(client)

    assert mine.sum(**CROWDED) == 0


@pytest.mark.parametrize("kind", SOME)
def test_an_address_comes_so_often_and_no_more(kind: str, share: Ask) -> None:
    mine = share(kind, SOME, "--max-rate-per-ip", "3")
    door = mine.door
    clients = [door.connect_from(HERE) for _ in range(30)]
    for client in clients:
        client.close()
    mine.wait_for(30, "forkful_connections_accepted_total")
    assert mine.sum(**RATE) >= 20
    assert is_served(door, THERE)
    until(lambda: is_served(door, HERE), what="its next turn")


@pytest.mark.parametrize("handler", ["classic:DatagramEcho", "loops:Datagrams"])
@pytest.mark.parametrize("workers", ["1", "3"])
def test_datagrams_of_an_address_come_so_often_and_no_more(
    handler: str, workers: str, serve: Serve, doors: Doors
) -> None:
    door = doors("udp")
    server = serve(handler, "--workers", workers, "--max-rate-per-ip", "5", binds=[door])
    with door.connect_from(HERE) as flood, door.connect_from(THERE) as other:
        for _ in range(100):
            flood.send(b"flood")
        other.send(b"hello")
        assert other.recv(10) == b"hello"
        taken = "forkful_datagrams_received_total"
        server.wait_until(lambda: server.metrics().sum(taken) == 101, what="all of them to be taken")
        assert 80 <= refused(server, "rate") <= 95
        assert [flood.recv(10) for _ in range(5)] == [b"flood"] * 5


@pytest.mark.parametrize("kind", ["lanes", "a protocol"])
def test_an_ipv4_client_of_a_socket_for_both_families_is_one(kind: str, serve: Serve, doors: Doors) -> None:
    handler, flags = STREAMS[kind]
    door = doors("tcp*")
    server = serve(handler, *flags, "--max-connections-per-ip", "1", binds=[door])
    with door.at("127.0.0.1").connect_from(HERE):
        server.wait_until(lambda: holds(server, 1), what="one connection")
        assert door.at("127.0.0.1").is_refused(HERE, GET)
        assert is_served(door.at("127.0.0.1"), THERE)
        assert is_served(door.at("::1"), "::1")


@pytest.mark.parametrize("handler", ["holding:Unbound", "loops:Echo"])
def test_unix_sockets_have_no_address_and_no_limit(handler: str, serve: Serve, doors: Doors) -> None:
    door = doors("unix")
    server = serve(handler, "--max-connections-per-ip", "1", "--max-rate-per-ip", "1", binds=[door])
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            client = stack.enter_context(door.connect())
            client.sendall(b"x")
            assert client.recv(1) == b"x"
    assert refused(server, "crowded") == refused(server, "rate") == 0


def test_who_is_refused_reaches_no_tls(serve: Serve, doors: Doors, certificate: Path) -> None:
    door = doors("tcp")
    flags = ("--threads", "4", "--max-connections-per-ip", "1")
    server = serve("securing:documented", *flags, binds=[door], env={"CERTIFICATE": str(certificate)})
    with door.connect_from(HERE) as silent:
        server.wait_until(lambda: holds(server, 1), what="one in its handshake")
        assert door.is_refused(HERE, b"\x16\x03\x01")
        assert refused(server, "crowded") == 1
        silent.sendall(b"no TLS at all\n")
        server.wait_until(lambda: refused(server, "tls") == 1, what="a handshake that fails")
    until(lambda: not door.is_refused(HERE, b"no TLS either\n") or refused(server, "tls") > 1, what="room for another")


@pytest.mark.parametrize("option", ["--max-connections-per-ip", "--max-rate-per-ip"])
def test_a_program_that_accepts_for_itself_cannot_be_asked_and_that_is_said(option: str, serve: Serve) -> None:
    server = serve("owners:plain", option, "3", ready=False)

    assert server.wait_exit() == 3
    assert "asks nobody about max_connections_per_ip and max_rate_per_ip" in server.log


# -- whatever happens to workers -----------------------------------------------------------------------------------


LIMIT = 4


def room(door: Door, host: str) -> int:
    """How many more connections of this address are let in, held together."""
    with contextlib.ExitStack() as stack:
        for count in itertools.count():
            client = stack.enter_context(door.connect_from(host))
            try:
                client.sendall(b"x")
                if client.recv(1) == b"":
                    return count
            except (ConnectionResetError, BrokenPipeError):
                return count
            assert count <= LIMIT
    raise AssertionError


def established(door: Door) -> Counter[str]:
    """What the kernel says: connections of this listener by the client's address, on the server's side."""
    assert isinstance(door.address, tuple)
    where = ["state", "established", "sport", "=", f":{door.address[1]}"]
    shown = subprocess.run(["ss", "-Htn", *where], capture_output=True, text=True, check=True).stdout
    return Counter(line.split()[3].rpartition(":")[0] for line in shown.splitlines())


def held(door: Door, host: str, stack: contextlib.ExitStack) -> socket.socket:
    client = stack.enter_context(door.connect_from(host))
    client.sendall(b"x")
    assert client.recv(1)
    return client


@pytest.mark.parametrize("kind", ["lanes", "held by a thread", "a coroutine", "a protocol"])
def test_kills_reloads_and_upgrades_leave_the_counts_right(kind: str, serve: Serve, doors: Doors) -> None:
    handler, flags = STREAMS[kind]
    door = doors("tcp")
    more = ("--workers", "3", "--graceful-timeout", "300")  # those who drain keep what they have
    server = serve(handler, *flags, *more, "--max-connections-per-ip", str(LIMIT), binds=[door])
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            held(door, HERE, stack)
        server.wait_until(lambda: room(door, HERE) == 1, what="room for one")
        assert server.reload().returncode == 0
        until(lambda: room(door, HERE) == 1, what="room for one: those of before the reload are still counted")
        assert server.run("upgrade", "--wait").returncode == 0
        until(lambda: room(door, HERE) == 1, what="room for one: those of before the upgrade, too")
        for worker in server.pool()["workers"]:
            server.kill(worker["pid"])
        server.wait_for_workers(3)
        until(lambda: room(door, HERE) == LIMIT, what="room for all, once nobody lives who counted them")


@pytest.mark.parametrize("kind", ["lanes", "a protocol"])
def test_after_a_small_chaos_the_counts_are_those_of_the_kernel(  # it is chaos
    kind: str, serve: Serve, doors: Doors
) -> None:
    handler, flags = STREAMS[kind]
    door = doors("tcp")
    more = ("--threads", "16", "--timeout", "0") if flags else ()  # a lane for each
    server = serve(handler, *more, "--workers", "4", "--max-connections-per-ip", str(LIMIT), binds=[door])
    hosts, dice, over = [f"127.0.2.{n}" for n in range(1, 9)], random.Random(7), threading.Event()
    kept: dict[str, list[socket.socket]] = {host: [] for host in hosts}

    def come_and_go(host: str, dice: random.Random) -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                kept[host].append(door.connect_from(host))
                kept[host][-1].sendall(b"x")
                kept[host][-1].recv(1)
            while len(kept[host]) > dice.randrange(2 * LIMIT):
                kept[host].pop(dice.randrange(len(kept[host]))).close()

    threads = [threading.Thread(target=come_and_go, args=(host, random.Random(host))) for host in hosts]
    for thread in threads:
        thread.start()
    try:
        for step in ("kill", "reload", "kill", "upgrade", "kill", "kill"):
            if step == "kill":
                server.kill(dice.choice(server.wait_until(lambda: [*server.workers().values()], what="somebody ready")))
            else:
                assert server.run(step, "--wait").returncode == 0
    finally:
        over.set()
        for thread in threads:
            thread.join()

    def agree() -> bool:
        there = established(door)
        return all(room(door, host) == LIMIT - there[host] for host in hosts)

    until(agree, what="as many as the kernel has")
    for client in itertools.chain(*kept.values()):
        client.close()
    until(lambda: all(room(door, host) == LIMIT for host in hosts), what="none left")


def test_a_worker_that_stands_still_keeps_nobody_else_waiting(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("loops:Echo", "--workers", "2", "--max-connections-per-ip", "2", binds=[door])
    stopped, other = server.workers().values()
    os.kill(stopped, SIGSTOP)
    try:
        for _ in range(5):
            assert is_answered(door)
    finally:
        os.kill(stopped, SIGCONT)
    assert other


def is_answered(door: Door) -> bool:
    """In the end: some of these clients wait for the one who stands still."""
    with contextlib.ExitStack() as stack:
        for n in range(20):
            client = stack.enter_context(door.connect_from(f"127.0.3.{n + 1}"))
            client.sendall(b"x")
            client.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                return client.recv(1) == b"x"
    return False
