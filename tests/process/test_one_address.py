"""`[pool.NAME.listener."ADDRESS"]`: what one address of a pool has for itself, on every loop, also after a reload."""

import socket
import ssl
import stat
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit import certificates
from tests.kit.certificates import Pair
from tests.kit.door import door_of, queue_limit
from tests.kit.server import Server
from tests.kit.wait import PATIENCE
from tests.process.test_admission import is_served

HANDLERS = {
    "a lane": 'handler = "classic:LineHandler"',
    "lanes": 'handler = "classic:LineHandler"\nthreads = 3',
    "a coroutine": 'handler = "loops:echo"',
    "a coroutine on asyncio": 'handler = "loops:echo"\nevent_loop = "asyncio"',
    "WSGI": 'handler = "wsgi:about"\ninterface = "wsgi"',
}
TCP = "127.0.0.1:0"


def config(handler: str, unix: Path, *, tcp: str, apart: str) -> str:
    bind = f'[pool.main]\n{handler}\nbind = ["{TCP}", "unix:{unix}"]\nbacklog = 64\ndeny = ["127.0.0.1"]\n'
    return f'{bind}[pool.main.listener."{TCP}"]\n{tcp}\n[pool.main.listener."unix:{unix}"]\n{apart}\n'


def served(server: Server) -> list[bool]:
    return [is_served(door_of(url)) for url in server.listeners()]


def limits(server: Server) -> list[int]:
    return [queue_limit(door_of(url)) for url in server.listeners()]


@pytest.mark.parametrize("kind", HANDLERS)
def test_each_address_of_a_pool_follows_its_own_table(kind: str, serve: Serve, tmp_path: Path) -> None:
    unix, handler = tmp_path / "web.sock", HANDLERS[kind]
    first = config(handler, unix, tcp="backlog = 32", apart='deny = ["unix"]\nsocket_mode = "0601"')
    server = serve(config=first)

    assert served(server) == [False, False]
    assert limits(server) == [32, 64]
    assert stat.S_IMODE(unix.stat().st_mode) == 0o601

    server.configure(config(handler, unix, tcp="backlog = 16\ndeny = []", apart='socket_mode = "0610"'))
    assert server.reload().returncode == 0
    assert served(server) == [True, True]
    assert limits(server) == [16, 64]
    assert stat.S_IMODE(unix.stat().st_mode) == 0o610


ONE, TWO, PROXIED = "tls://127.0.0.1:0", "tls://127.0.0.2:0", "tcp://127.0.0.1:0"


def at_the_edge(handler: str, one: Pair, two: Pair, proxied: str) -> str:
    bind = f'[pool.main]\n{handler}\nbind = ["{ONE}", "{TWO}", "{PROXIED}"]\n'
    for address, pair in ((ONE, one), (TWO, two)):
        bind += f'[pool.main.listener."{address}"]\ncertfile = "{pair.certificate}"\nkeyfile = "{pair.key}"\n'
    return f'{bind}[pool.main.listener."{PROXIED}"]\nproxy_protocol = "{proxied}"\n'


def shown(url: str, trust: ssl.SSLContext, name: str) -> bool:
    """Whether the certificate that is shown there is for this name."""
    host, _, port = url.partition("://")[2].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as plain:
        try:
            with trust.wrap_socket(plain, server_hostname=name) as client:
                client.sendall(b"x\n")
                return client.recv(10) == b"X\n"
        except ssl.SSLCertVerificationError:
            return False


@pytest.mark.parametrize("handler", ['handler = "classic:LineHandler"', 'handler = "networked:upper"'])
def test_each_address_has_certificates_of_its_own_and_one_alone_a_proxy(
    handler: str, serve: Serve, tmp_path: Path
) -> None:
    one, two = (certificates.self_signed(tmp_path, name) for name in ("one.test", "two.test"))
    trust = ssl.create_default_context()
    for pair in (one, two):
        trust.load_verify_locations(pair.certificate)
    server = serve(config=at_the_edge(handler, one, two, "v1"))
    urls = {url.rpartition(":")[0]: url for url in server.listeners()}

    def found() -> list[bool]:
        secured = (urls["tls://127.0.0.1"], urls["tls://127.0.0.2"])
        return [shown(url, trust, name) for url in secured for name in ("one.test", "two.test")]

    plain = door_of(urls["tcp://127.0.0.1"])
    with plain.connect() as client:
        client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nx\n")
        assert client.recv(10) == b"X\n"
    assert found() == [True, False, False, True]

    server.configure(at_the_edge(handler, two, one, "off"))
    assert server.reload().returncode == 0
    with plain.connect() as client:
        client.sendall(b"x\n")
        assert client.recv(10) == b"X\n"
    assert found() == [False, True, True, False]
