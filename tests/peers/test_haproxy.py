"""HAProxy with the configuration we hand out, in front of two servers, checking their health on /readyz."""

import csv
import io
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM
from typing import NamedTuple, Protocol

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, host_port, read_all
from tests.kit.load import Load
from tests.kit.server import Server
from tests.kit.wait import until
from tests.peers.conftest import Beside
from tests.peers.neighbour import DEPLOY, Neighbour, find

CONFIG = DEPLOY / "haproxy" / "haproxy.cfg"
DRAIN_DELAY = "3"  # seconds, as the configuration's own comment says


class Site(NamedTuple):
    """Two servers, and HAProxy with a front door."""

    front: Door
    servers: tuple[Server, Server]
    haproxy: Neighbour
    statistics: Path

    def backend(self, server: str) -> dict[str, str]:
        """HAProxy's own figures about one server (management guide, 9.1)."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.statistics))
            client.sendall(b"show stat\n")
            page = read_all(client).decode().removeprefix("# ")
        return next(row for row in csv.DictReader(io.StringIO(page)) if row["svname"] == server)


def admin_page(server: Server) -> str:
    """HOST:PORT of the admin page."""
    urls: list[str] = server.status()["admin"]
    return next(url for url in urls if url.startswith("tcp://")).removeprefix("tcp://")


class Build(Protocol):
    """Start the site, with these flags for both servers or with two workers of four threads each."""

    def __call__(self, handler: str, *flags: str) -> Site: ...


@pytest.fixture
def site(serve: Serve, doors: Callable[[str], Door], neighbour: Beside, tmp_path: Path) -> Build:
    def build(handler: str, *flags: str) -> Site:
        find("haproxy")
        front, one, two = doors("tcp"), doors("tcp"), doors("tcp")
        flags = flags or ("--workers", "2", "--threads", "4")
        more_flags = ("--proxy-protocol", "v2", "--drain-delay", DRAIN_DELAY, "--admin-bind", "tcp://127.0.0.1:0")
        a, b = (serve(handler, *flags, *more_flags, binds=[door]) for door in (one, two))
        statistics = tmp_path / "haproxy.sock"
        more = tmp_path / "statistics.cfg"
        more.write_text(f"global\n    stats socket {statistics}\n")
        assert front.listener is not None
        environment = {
            "FORKFUL_FRONT": f"fd@{front.listener.fileno()}",
            "FORKFUL_A": host_port(one),
            "FORKFUL_A_ADMIN": admin_page(a),
            "FORKFUL_B": host_port(two),
            "FORKFUL_B_ADMIN": admin_page(b),
        }
        fds = [front.listener.fileno()]
        haproxy = neighbour("haproxy", "-db", "-f", str(CONFIG), "-f", str(more), env=environment, fds=fds)
        site = Site(front, (a, b), haproxy, statistics)
        until(statistics.exists, what="HAProxy's statistics")
        until(
            lambda: all(site.backend(server)["check_status"] == "L7OK" for server in "ab"), what="a good check of both"
        )
        return site

    return build


def test_configuration_is_valid_as_it_is() -> None:
    check = subprocess.run(
        [find("haproxy"), "-c", "-f", str(CONFIG)], capture_output=True, text=True, timeout=30, check=False
    )
    assert check.returncode == 0, check.stderr
    assert "WARNING" not in check.stderr


def test_nothing_is_lost_when_one_of_two_servers_is_stopped(site: Build) -> None:
    here = site("classic:EchoHandler")
    stopped, other = here.servers

    with Load(here.front, clients=4) as load:
        load.more(100)
        assert stopped.metrics().sum("forkful_requests_total", outcome="ok") > 0, "it was in rotation"
        stopped.signal(SIGTERM)
        here.haproxy.wait_for_log("Server forkful/a is DOWN")
        assert stopped.running, "it went on accepting for its drain_delay"
        assert stopped.wait_exit() == 0
        load.more(100)

    assert "Layer7 wrong status, code: 503" in here.haproxy.log, "HAProxy learned it from /readyz"
    figures = here.backend("a")
    assert (figures["econ"], figures["wretr"], figures["wredis"]) == ("0", "0", "0"), "and never met a closed listener"
    assert other.running


def test_connection_that_is_held_through_a_stop_is_served_to_its_end(site: Build) -> None:
    here = site("classic:LineHandler")
    with here.front.connect() as one, here.front.connect() as two:
        streams = [client.makefile("rwb", buffering=0) for client in (one, two)]
        for stream in streams:
            stream.write(b"hello\n")
            assert stream.readline() == b"HELLO\n"
        for server in here.servers:
            assert server.metrics().sum("forkful_connections_active") == 1, "least connections first"
        stopped = here.servers[0]
        stopped.signal(SIGTERM)
        here.haproxy.wait_for_log("Server forkful/a is DOWN")
        for stream in streams:
            stream.write(b"still there\n")
            assert stream.readline() == b"STILL THERE\n"
            stream.close()
    assert stopped.wait_exit() == 0


def test_curl_fetches_pages_through_haproxy(site: Build) -> None:
    here = site("web:Pages")
    url = f"http://{host_port(here.front)}"

    fetched = subprocess.run(
        [find("curl"), "--silent", "--show-error", "--fail", f"{url}/one", f"{url}/two"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (fetched.returncode, fetched.stdout) == (0, "you asked for /one\nyou asked for /two\n"), fetched.stderr


def test_ramp_of_load_takes_no_elastic_server_out_of_the_balancer(site: Build) -> None:
    here = site("slow_start:EchoHandler", "--workers", "1-4")
    clients = [Load(here.front, clients=count, hold=0.1) for count in (1, 3, 6)]
    with clients[0]:
        clients[0].more(10)
        with clients[1]:
            clients[1].more(30)
            with clients[2] as most:
                for server in here.servers:
                    server.wait_for_workers(4)
                most.more(60)
    for name, server in zip("ab", here.servers, strict=True):
        figures = here.backend(name)
        assert (figures["chkfail"], figures["chkdown"], figures["downtime"]) == ("0", "0", "0")
        assert (figures["econ"], figures["eresp"], figures["wretr"], figures["wredis"]) == ("0", "0", "0", "0")
        server.now_holds_more()
