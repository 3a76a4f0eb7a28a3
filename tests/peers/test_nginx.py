"""nginx with the configuration we hand out, in front of two servers: TCP and UDP."""

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, door_of, host_port, read_all
from tests.kit.load import Load
from tests.kit.wait import until
from tests.kit.web import get
from tests.peers.conftest import Beside
from tests.peers.neighbour import DEPLOY, find, missing
from tests.process.test_proxy_protocol import ALL, said

CONFIG = DEPLOY / "nginx" / "nginx.conf"
MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


Run = Callable[..., Door]


@pytest.fixture
def nginx(doors: Callable[[str], Door], neighbour: Beside, tmp_path: Path) -> Run:
    """Start it in front of these servers, and return its front door of this kind.

    Both its listening sockets are handed down to it, open.
    """

    def start(kind: str, **behind: Door) -> Door:
        find("nginx")
        if not MODULE.exists():
            missing("nginx has no stream module (Debian: apt-get install libnginx-mod-stream)")
        front = {"tcp": doors("tcp"), "udp": doors("udp")}
        text = put(CONFIG.read_text(), "listen 127.0.0.1:7000;", front["tcp"])
        text = put(text, "listen 127.0.0.1:7000 udp;", front["udp"])
        for port, door in behind.items():
            text = put(text, f"server 127.0.0.1:{port.removeprefix('at_')}", door)
        pid_file, own = tmp_path / "nginx.pid", tmp_path / "nginx.conf"
        own.write_text(text.replace("/run/nginx-forkful.pid", str(pid_file)))
        listeners = [door.listener for door in front.values() if door.listener is not None]
        for listener in listeners:
            listener.setblocking(False)  # as nginx assumes: who loses a race must not sleep in accept
        fds = [listener.fileno() for listener in listeners]
        inherited = {"NGINX": "".join(f"{fd};" for fd in fds)}  # as in its own upgrade in place
        started = neighbour("nginx", "-c", str(own), "-e", "stderr", "-g", "daemon off;", env=inherited, fds=fds)
        until(lambda: pid_file.exists() or started.process.poll(), what="nginx to start")
        assert started.process.poll() is None, started.log
        return front[kind]

    return start


def put(text: str, said: str, door: Door) -> str:
    """Replace the address in what the configuration says."""
    assert text.count(said) == 1, said
    return text.replace(said, re.sub(r"127\.0\.0\.1:[0-9]+", host_port(door), said))


def test_nothing_is_lost_when_one_of_two_servers_is_stopped(serve: Serve, nginx: Run) -> None:
    flags = (
        "--workers",
        "2",
        "--proxy-protocol",
        "v1",
        "--bind",
        "tcp://127.0.0.1:0",
    )  # bound by the servers, so theirs to close
    stopped, other = (serve("classic:EchoHandler", *flags, binds=[]) for _ in range(2))
    one, two = (door_of(server.listeners()[0]) for server in (stopped, other))
    front = nginx("tcp", at_7001=one, at_7002=two)

    with Load(front, clients=4) as load:
        load.more(100)
        assert stopped.metrics().sum("forkful_requests_total", outcome="ok") > 0, "it was in rotation"
        stopped.signal(SIGTERM)
        assert stopped.wait_exit() == 0
        load.more(100)

    assert other.running


def test_configuration_is_valid_as_it_is(tmp_path: Path) -> None:
    config = tmp_path / "nginx.conf"
    if not MODULE.exists():
        missing("nginx has no stream module (Debian: apt-get install libnginx-mod-stream)")
    config.write_text(CONFIG.read_text().replace("/run/nginx-forkful.pid", f"{tmp_path}/nginx.pid"))
    command = [find("nginx"), "-t", "-c", str(config), "-e", "stderr"]
    check = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert check.returncode == 0, check.stderr
    assert "[warn]" not in check.stderr


@pytest.mark.parametrize("kind", ["a lane", "lanes", "a coroutine", "a protocol", "WSGI", "ASGI"])
def test_handlers_see_the_client_that_nginx_names(
    kind: str, serve: Serve, doors: Callable[[str], Door], nginx: Run
) -> None:
    handler, flags = ALL[kind]
    behind = doors("tcp")
    server = serve(handler, *flags, "--proxy-protocol", "v1", binds=[behind])
    front = nginx("tcp", at_7001=behind)

    with front.connect_from("127.0.0.5") as client:
        client.sendall(said(kind, b"data"))
        client.shutdown(socket.SHUT_WR)
        got, mine = json.loads(read_all(client).splitlines()[-1]), list(client.getsockname())
    assert (got["client"], got["server"], got["data"]) == (mine, list(front.address), 4)
    assert server.metrics().sum("forkful_refused_total") == 0


def test_datagrams_go_through(serve: Serve, doors: Callable[[str], Door], nginx: Run) -> None:
    behind = doors("udp")
    serve("classic:DatagramEcho", binds=[behind])
    front = nginx("udp", at_7003=behind)

    assert [front.ask(b"%d" % n) for n in range(10)] == [b"%d" % n for n in range(10)]


SITE = """
user www-data;
worker_processes 1;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://unix:{folder}/app.sock:/; }}
    }}
}}
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="nginx becomes another user as root only")
def test_nginx_as_another_user_connects_to_a_unix_socket_that_it_may_and_to_no_other(
    serve: Serve, doors: Callable[[str], Door], neighbour: Beside, folder: Path
) -> None:
    find("nginx")
    text = f'[pool.main]\nhandler = "web:Pages"\nbind = "unix:{folder}/app.sock"\nsocket_mode = "%s"\n'
    server = serve(binds=[], config=text % "0660")
    front = doors("tcp")
    assert isinstance(front.address, tuple)
    assert front.listener is not None
    front.listener.setblocking(False)
    (folder / "nginx.conf").write_text(SITE.format(folder=folder, port=front.address[1]))
    fd = front.listener.fileno()
    command = ("-c", str(folder / "nginx.conf"), "-e", "stderr", "-g", "daemon off;")
    started = neighbour("nginx", *command, env={"NGINX": f"{fd};"}, fds=[fd])
    until(lambda: (folder / "nginx.pid").exists() or started.process.poll(), what="nginx to start")

    assert get(front, "/").status == 502, "0660, and nobody gave it to nginx's group"
    server.configure(text % "0660" + 'socket_owner = ":www-data"\n')
    assert server.reload().returncode == 0
    assert get(front, "/").status == 200
    server.configure(text % "0600" + 'socket_owner = ":www-data"\n')
    assert server.reload().returncode == 0
    assert get(front, "/").status == 502
    server.configure(text % "0666")
    assert server.reload().returncode == 0
    assert get(front, "/").status == 200
