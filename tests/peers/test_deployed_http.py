"""HTTP behind HAProxy and nginx with the files that we hand out: TLS in front, WebSockets, who the client is, stops."""

import json
import re
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM
from typing import NamedTuple, Protocol

import pytest
from websockets.sync.client import connect

from tests.conftest import Serve
from tests.kit.door import Door, host_port, read_all
from tests.kit.server import Server
from tests.kit.wait import until
from tests.peers.conftest import Beside
from tests.peers.neighbour import DEPLOY, find
from tests.peers.test_haproxy import DRAIN_DELAY, admin_page

HAPROXY, NGINX = DEPLOY / "haproxy" / "http.cfg", DEPLOY / "nginx" / "http.conf"
CLIENT = "127.0.0.5"
PLACES = ["client_body_temp_path", "proxy_temp_path", "fastcgi_temp_path", "uwsgi_temp_path", "scgi_temp_path"]


class Site(NamedTuple):
    """Two servers and a proxy with two front doors, one of them for TLS."""

    plain: Door
    secure: Door
    servers: tuple[Server, Server]
    trust: ssl.SSLContext

    def ask(self, head: str) -> str:
        """The whole answer to this, over TLS, from `CLIENT`."""
        plain = self.secure.connect_from(CLIENT)
        with plain, self.trust.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(head.replace("\n", "\r\n").encode())
            return b"".join(iter(lambda: client.recv(65_536), b"")).decode()


class Build(Protocol):
    def __call__(self, handler: str, *flags: str) -> Site: ...


def put(text: str, said: str, now: str) -> str:
    """Replace an address, or a path, that the file says for where it is to be used."""
    assert said in text, said
    return text.replace(said, now)


def as_nginx(text: str, behind: list[Door], fronts: list[Door], certificate: Path, folder: Path) -> str:
    """The file with the addresses and paths of this test."""
    for said, door in zip(("127.0.0.1:8001", "127.0.0.1:8002"), behind, strict=True):
        text = put(text, f"server {said}", f"server {host_port(door)}")
    for said, door in zip(("127.0.0.1:8080", "127.0.0.1:8443"), fronts, strict=True):
        text = put(text, f"listen {said}", f"listen {host_port(door)}")
    text = put(text, "/etc/nginx/forkful.pem", str(certificate))
    text = put(text, "/run/nginx-forkful.pid", f"{folder}/nginx.pid")
    return put(text, "http {\n", "http {\n" + "".join(f"    {place} {folder}/{place};\n" for place in PLACES))


@pytest.fixture(params=["haproxy", "nginx"])
def site(
    request: pytest.FixtureRequest,
    serve: Serve,
    doors: Callable[[str], Door],
    neighbour: Beside,
    certificate: Path,
    tmp_path: Path,
) -> Build:
    def build(handler: str, *flags: str) -> Site:
        find(request.param)
        fronts, behind = [doors("tcp"), doors("tcp")], [doors("tcp"), doors("tcp")]
        more = ("--workers", "2", "--drain-delay", DRAIN_DELAY, "--admin-bind", "tcp://127.0.0.1:0", *flags)
        a, b = (serve(handler, *more, binds=[door]) for door in behind)
        listeners = [front.listener for front in fronts if front.listener is not None]
        fds = [listener.fileno() for listener in listeners]
        if request.param == "haproxy":
            plain, secure = (f"fd@{fd}" for fd in fds)
            env = {"FORKFUL_PLAIN": plain, "FORKFUL_FRONT": secure, "FORKFUL_CERTIFICATE": str(certificate)}
            for name, server, door in (("A", a, behind[0]), ("B", b, behind[1])):
                env |= {f"FORKFUL_{name}": host_port(door), f"FORKFUL_{name}_ADMIN": admin_page(server)}
            haproxy = neighbour("haproxy", "-db", "-f", str(HAPROXY), env=env, fds=fds)
            assert haproxy.process.poll() is None, haproxy.log
        else:
            for listener in listeners:
                listener.setblocking(False)  # as nginx assumes
            config = tmp_path / "nginx.conf"
            config.write_text(as_nginx(NGINX.read_text(), behind, fronts, certificate, tmp_path))
            inherited = {"NGINX": "".join(f"{fd};" for fd in fds)}
            nginx = neighbour("nginx", "-c", str(config), "-e", "stderr", "-g", "daemon off;", env=inherited, fds=fds)
            until(lambda: (tmp_path / "nginx.pid").exists() or nginx.process.poll(), what="nginx to start")
            assert nginx.process.poll() is None, nginx.log
        return Site(fronts[0], fronts[1], (a, b), ssl.create_default_context(cafile=str(certificate)))

    return build


def test_haproxys_file_is_valid_as_it_is(certificate: Path) -> None:
    find("haproxy")
    env = {"FORKFUL_CERTIFICATE": str(certificate)}
    command = [find("haproxy"), "-c", "-f", str(HAPROXY)]
    check = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=env)
    assert check.returncode == 0, check.stderr
    assert "WARNING" not in check.stderr


def test_nginxs_file_is_valid_as_it_is(certificate: Path, tmp_path: Path) -> None:
    text = put(NGINX.read_text(), "/etc/nginx/forkful.pem", str(certificate))
    text = put(text, "/run/nginx-forkful.pid", f"{tmp_path}/nginx.pid")
    text = put(text, "http {\n", "http {\n" + "".join(f"    {place} {tmp_path}/{place};\n" for place in PLACES))
    config = tmp_path / "http.conf"
    config.write_text(text)
    command = [find("nginx"), "-t", "-c", str(config), "-e", "stderr"]
    check = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert check.returncode == 0, check.stderr
    assert "[warn]" not in check.stderr


def test_the_application_sees_who_the_client_is_and_nobody_can_make_it_up(site: Build) -> None:
    here = site("wsgi:about")
    lies = "X-Forwarded-For: 6.6.6.6\nX-Forwarded-Proto: http\nX-Forwarded-Host: evil\nForwarded: for=6.6.6.6\n"
    answer = here.ask(f"GET / HTTP/1.1\nHost: localhost\nConnection: close\n{lies}\n")

    seen = dict(re.findall("^([A-Za-z_]+)=(.*?)\r?$", answer, re.MULTILINE))
    assert (seen["REMOTE_ADDR"], seen["scheme"]) == (CLIENT, "https")
    assert seen["HTTP_X_FORWARDED_FOR"] == CLIENT
    assert "6.6.6.6" not in answer
    assert "evil" not in answer


def test_plain_http_is_sent_to_https(site: Build) -> None:
    here = site("wsgi:about")
    with here.plain.connect() as client:
        client.sendall(b"GET /page?x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = read_all(client).decode()
    assert answer.startswith("HTTP/1.1 301 ")
    assert "ocation: https://localhost/page?x=1\r\n" in answer


def test_websockets_go_through(site: Build) -> None:
    here = site("proxied:asgi")
    assert isinstance(here.secure.address, tuple)
    url = f"wss://localhost:{here.secure.address[1]}/"
    with here.secure.connect_from(CLIENT) as sock, connect(url, sock=sock, ssl=here.trust) as client:
        got = json.loads(client.recv())
    assert got["client"][0] == CLIENT


def test_curl_speaks_http2_with_the_proxy(site: Build, certificate: Path) -> None:
    here = site("wsgi:about")
    assert isinstance(here.secure.address, tuple)
    command = [
        find("curl"),
        "--silent",
        "--show-error",
        "--fail",
        "--cacert",
        str(certificate),
        "-w",
        "%{http_version}",
    ]
    command.append(f"https://localhost:{here.secure.address[1]}/")
    fetched = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert fetched.endswith("2")
    assert "scheme=https" in fetched


def test_nothing_is_lost_when_one_of_two_servers_is_reloaded_and_stopped(site: Build) -> None:
    here = site("wsgi:about")
    ask = "GET / HTTP/1.1\nHost: localhost\nConnection: close\n\n"

    def well(count: int) -> None:
        assert [here.ask(ask).partition("\r\n")[0] for _ in range(count)] == ["HTTP/1.1 200 OK"] * count

    well(20)
    stopped, other = here.servers
    assert stopped.metrics().sum("forkful_requests_total") > 0, "it was in rotation"
    assert stopped.reload().returncode == 0
    well(20)
    stopped.signal(SIGTERM)
    well(20)
    assert stopped.wait_exit() == 0
    well(20)
    assert other.running
