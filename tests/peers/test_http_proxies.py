"""HTTP behind real proxies: who the client is, requests that mean the same to both sides, nothing lost in reloads."""

import getpass
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, host_port
from tests.kit.wait import until
from tests.kit.web import get, talk
from tests.peers.conftest import Beside
from tests.peers.neighbour import find
from tests.unit.worker.http.corpus import CASES, Case

Doors = Callable[[str], Door]
Proxy = Callable[[Door], Door]

HAPROXY = """\
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 3s
    timeout server 10s
    option forwardfor
    http-reuse safe
frontend front
    bind fd@{fd}
    http-request set-header X-Forwarded-Proto https
    default_backend back
backend back
    server one {server}
"""

NGINX = """\
daemon off;
user {user};
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 100; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_timeout 3s;
    client_header_timeout 2s;
    client_body_timeout 2s;
    upstream back {{ server {server}; keepalive 4; }}
    server {{
        listen {front};
        location / {{
            proxy_pass http://back;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto https;
        }}
    }}
}}
"""


@pytest.fixture(params=["haproxy", "nginx"])
def proxy(request: pytest.FixtureRequest, doors: Doors, neighbour: Beside, tmp_path: Path) -> Proxy:
    """Start one in front of a server, and return its front door."""

    def start(behind: Door) -> Door:
        find(request.param)
        front = doors("tcp")
        assert front.listener is not None
        fd = front.listener.fileno()
        unix = isinstance(behind.address, str)
        config = tmp_path / "proxy.conf"
        if request.param == "haproxy":
            server = f"unix@{behind.address}" if unix else host_port(behind)
            config.write_text(HAPROXY.format(fd=fd, server=server))
            started = neighbour("haproxy", "-db", "-f", str(config), fds=[fd])
            assert started.process.poll() is None, started.log
            return front
        server = f"unix:{behind.address}" if unix else host_port(behind)
        config.write_text(NGINX.format(user=getpass.getuser(), folder=tmp_path, server=server, front=host_port(front)))
        front.listener.setblocking(False)  # as nginx assumes
        started = neighbour("nginx", "-c", str(config), "-e", "stderr", env={"NGINX": f"{fd};"}, fds=[fd])
        until(lambda: (tmp_path / "nginx.pid").exists() or started.process.poll(), what="nginx to start")
        assert started.process.poll() is None, started.log
        return front

    return start


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("trusted", [True, False])
def test_a_trusted_proxy_says_who_the_client_is(
    kind: str, trusted: bool, serve: Serve, doors: Doors, proxy: Proxy
) -> None:
    behind = doors(kind)
    serve("wsgi:about", "--forwarded-allow-ips", "127.0.0.1" if trusted else "", binds=[behind])
    front = proxy(behind)

    seen = dict(line.split("=", 1) for line in get(front, "/", X_Forwarded_For="6.6.6.6").text.splitlines())

    assert "127.0.0.1" in seen["HTTP_X_FORWARDED_FOR"]
    if trusted:
        assert seen["scheme"] == "https"
        assert seen["REMOTE_ADDR"] == ("6.6.6.6" if "6.6.6.6" in seen["HTTP_X_FORWARDED_FOR"] else "127.0.0.1")
    else:
        assert (seen["scheme"], seen["REMOTE_ADDR"]) == ("http", "127.0.0.1" if kind == "tcp" else "")


def test_what_a_proxy_passes_on_means_the_same_to_us(serve: Serve, doors: Doors, proxy: Proxy) -> None:
    """Whatever a client says, the application sees as many requests as it answers, and each client its own answer."""
    behind = doors("tcp")
    server = serve("wsgi:telling", binds=[behind])
    front = proxy(behind)
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    wrong = []

    def check(case: Case) -> None:
        try:
            heard = talk(front, case.raw + smuggled)
        except ConnectionResetError:
            heard = b""
        answered = [line.decode() for line in re.findall(rb"(?i)x-seen: ([^\r]*)", heard)]
        sentinel = get(front, "/sentinel").headers.get("X-Seen")
        seen = []
        while (event := server.events.expect("request")[8:]) != "GET /sentinel 0":
            seen.append(event)
        if seen != answered or sentinel != "GET /sentinel 0":
            wrong.append((case.what, seen, answered, sentinel))

    for case in CASES:
        if len(case.raw) < 4000 and b"Expect" not in case.raw:
            check(case)

    assert not wrong


def test_wrk_through_a_proxy_meets_no_error_during_reloads(serve: Serve, doors: Doors, proxy: Proxy) -> None:
    behind = doors("tcp")
    server = serve("wsgi:echo", "--workers", "2", "--keep-alive", "5", binds=[behind])
    front = proxy(behind)
    assert get(front, "/warm").text == "warm"

    command = [find("wrk"), "-t1", "-c20", "-d12s", f"http://{host_port(front)}/hello"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        for _ in range(4):
            server.hup()
        output, _ = load.communicate(timeout=60)

    assert "requests in" in output
    assert "Socket errors" not in output, output
    assert "Non-2xx" not in output, output
