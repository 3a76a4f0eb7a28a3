"""Limits by address against who means harm: sprays of addresses, a hostile worker, and IPv6 with its many addresses."""

import contextlib
import socket
import subprocess

import pytest

from tests.conftest import Serve
from tests.kit import jail
from tests.kit.door import Door
from tests.kit.jail import Jail, Outcome
from tests.kit.wait import until
from tests.process.test_peer_limits import HERE, THERE, Doors, held, refused, room

SPRAY = 20_000


def spray_host(number: int) -> str:
    return f"127.{10 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"


def test_a_spray_of_datagrams_pushes_no_honest_client_out(serve: Serve, doors: Doors) -> None:
    """Busy, within its rate, it is answered; beyond its rate it is still refused, so it was not forgotten."""
    door = doors("udp")
    server = serve("loops:Datagrams", "--max-rate-per-ip", "50", binds=[door])
    answered = 0
    with door.connect_from(HERE) as honest, door.connect_from(THERE) as greedy:
        for number in range(SPRAY):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.bind((spray_host(number), 0))
                client.sendto(b"spray", door.address)
            if number % 50 == 0:
                for _ in range(3):
                    greedy.send(b"greedy")
                with door.connect_from(f"127.200.{number // 12_500}.{1 + number // 50 % 250}") as pace:
                    pace.send(b"go on")  # or the kernel's queue would be too short for us
                    assert pace.recv(10) == b"go on"
            if number % 500 == 0:
                honest.send(b"hello")
                answered += honest.recv(10) == b"hello"
    server.wait_until_idle()

    assert answered == SPRAY // 500
    assert refused(server, "rate") > 0
    metrics = server.metrics_at_rest()
    served, dropped = metrics.sum("forkful_requests_total"), metrics.sum("forkful_datagrams_dropped_total")
    assert served + refused(server, "rate") + dropped == SPRAY + SPRAY // 500 + 4 * (SPRAY // 50)
    assert metrics.sum("forkful_uncounted_arrivals_total") < SPRAY / 10


@pytest.mark.parametrize("handler", ["loops:Echo", "holding:Unbound"])
def test_a_spray_of_connections_pushes_no_honest_client_out(handler: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(handler, "--workers", "2", "--max-connections-per-ip", "3", binds=[door])
    with contextlib.ExitStack() as stack:
        honest = [held(door, HERE, stack) for _ in range(3)]
        for number in range(SPRAY):
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.bind((spray_host(number), 0))
                with contextlib.suppress(ConnectionResetError):
                    client.connect(door.address)
            if number % 500 == 0:
                for client in honest:
                    client.sendall(b"hello\n")
                    assert client.recv(10).lower() == b"hello\n"
        assert door.is_refused(HERE, b"x"), "it is still counted"
    until(lambda: room(door, HERE) == 3, what="room again")
    assert server.metrics().sum("forkful_uncounted_arrivals_total") < SPRAY / 10


def test_whatever_a_worker_does_to_the_table_costs_its_pool_alone(serve: Serve, doors: Doors) -> None:
    hostile, good = doors("tcp"), doors("tcp")
    config = f"""
        [pool.hostile]
        handler = "poisonous:Table"
        bind = ["{hostile.url}"]
        workers = 2
        max_connections_per_ip = 3
        max_rate_per_ip = 1000
        [pool.good]
        handler = "holding:Upper"
        bind = ["{good.url}"]
        threads = 3
        max_connections_per_ip = 2
        """
    server = serve(config=config, binds=[hostile, good])
    for what in (b"junk", b"zero", b"ones", b"shrink", b"grow", b"lock"):
        with hostile.connect_from(HERE) as client:
            client.sendall(what)
            client.recv(100)
    assert server.reload().returncode == 0
    assert server.run("upgrade", "--wait").returncode == 0
    for pid in server.workers("hostile").values():
        server.kill(pid)
    server.wait_for_workers(2, pool="hostile")

    assert server.admin.get("/livez")[0] == 200
    with good.connect_from(HERE), good.connect_from(HERE):
        until(lambda: good.is_refused(HERE, b"x"), what="the limit of the other pool")
    with hostile.connect_from(THERE) as client:
        client.sendall(b"tables")
        assert client.recv(100) == b"1", "a worker has the table of its own pool and no other"


# -- IPv6 ----------------------------------------------------------------------------------------------------------


def of_one_network(jail: Jail) -> Outcome:
    """In a network of its own, with addresses of two /64."""
    hosts = ["2001:db8:0:1::1", "2001:db8:0:1:2:3:4:5", "2001:db8:0:2::1"]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for host in hosts:
        subprocess.run(["ip", "-6", "addr", "add", f"{host}/64", "dev", "lo", "nodad"], check=True)
    found: dict[str, list[bool]] = {}
    for port, handler in ((7000, "loops:Echo"), (7001, "holding:Unbound")):
        door = Door(socket.AF_INET6, socket.SOCK_STREAM, (hosts[0], port))
        jail.server("--max-connections-per-ip", "1", handler=handler, bind=f"tcp://[::]:{port}")
        with door.connect_from(hosts[0]) as first:
            first.sendall(b"x")
            first.recv(1)
            found[handler] = [door.is_refused(host, b"x") for host in hosts]
    return found


def test_an_ipv6_client_is_its_network_of_64_bits_also_without_roots_rights() -> None:
    found = jail.tell(of_one_network)

    assert found["loops:Echo"] == found["holding:Unbound"] == [True, True, False]
