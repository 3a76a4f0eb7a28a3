"""nginx with the configuration we hand out, in front of two servers: TCP and UDP."""

from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM
from typing import NamedTuple

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.load import Load
from tests.kit.wait import until
from tests.peers.conftest import Beside
from tests.peers.neighbour import DEPLOY, find, missing
from tests.peers.test_haproxy import host_port

CONFIG = DEPLOY / "nginx" / "nginx.conf"
MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


class Doors(NamedTuple):
    """The places of the configuration file: its two front doors, and what is behind them."""

    stream: Door
    datagram: Door
    one: Door
    two: Door
    three: Door

    def put_into(self, text: str) -> str:
        for said, door in {
            "listen 127.0.0.1:7000;": self.stream,
            "listen 127.0.0.1:7000 udp;": self.datagram,
            "server 127.0.0.1:7001": self.one,
            "server 127.0.0.1:7002": self.two,
            "server 127.0.0.1:7003": self.three,
        }.items():
            before, _, rest = said.partition("127.0.0.1:")
            assert text.count(said) == 1, said
            text = text.replace(said, before + host_port(door) + rest[len("7000") :])
        return text


@pytest.fixture
def places(doors: Callable[[str], Door]) -> Doors:
    return Doors(doors("tcp"), doors("udp"), doors("tcp"), doors("tcp"), doors("udp"))


@pytest.fixture
def nginx(places: Doors, neighbour: Beside, tmp_path: Path) -> Callable[[], None]:
    """Start it; the sockets it listens on are handed down to it, open."""

    def start() -> None:
        find("nginx")
        if not MODULE.exists():
            missing("nginx has no stream module (Debian: apt-get install libnginx-mod-stream)")
        pid_file, own = tmp_path / "nginx.pid", tmp_path / "nginx.conf"
        own.write_text(places.put_into(CONFIG.read_text()).replace("/run/nginx-forkful.pid", str(pid_file)))
        listeners = [door.listener for door in (places.stream, places.datagram) if door.listener is not None]
        for listener in listeners:
            listener.setblocking(False)  # as nginx assumes: who loses a race must not sleep in accept
        fds = [listener.fileno() for listener in listeners]
        inherited = {"NGINX": "".join(f"{fd};" for fd in fds)}  # as in its own upgrade in place
        started = neighbour("nginx", "-c", str(own), "-e", "stderr", "-g", "daemon off;", env=inherited, fds=fds)
        until(lambda: pid_file.exists() or started.process.poll(), what="nginx to start")
        assert started.process.poll() is None, started.log

    return start


def test_nothing_is_lost_when_one_of_two_servers_is_stopped(
    serve: Serve, places: Doors, nginx: Callable[[], None]
) -> None:
    stopped, other = (serve("classic:EchoHandler", "--workers", "2", binds=[door]) for door in (places.one, places.two))
    nginx()

    with Load(places.stream, clients=4) as load:
        load.more(100)
        assert stopped.metrics().sum("forkful_requests_total", outcome="ok") > 0, "it was in rotation"
        stopped.signal(SIGTERM)
        assert stopped.wait_exit() == 0
        load.more(100)

    load.assert_nothing_lost()
    assert other.running


def test_datagrams_go_through(serve: Serve, places: Doors, nginx: Callable[[], None]) -> None:
    serve("classic:DatagramEcho", binds=[places.three])
    nginx()

    assert [places.datagram.ask(b"%d" % n) for n in range(10)] == [b"%d" % n for n in range(10)]
