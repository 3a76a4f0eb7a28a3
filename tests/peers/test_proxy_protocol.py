"""PROXY headers as HAProxy writes them, to handlers of every kind; nothing lost in reloads. nginx: `test_nginx`."""

import csv
import io
import json
import socket
import ssl
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol

import pytest
from websockets.sync.client import connect

from tests.conftest import Serve
from tests.kit.door import Door, host_port, read_all
from tests.kit.load import Load
from tests.kit.wait import until
from tests.peers.conftest import Beside
from tests.peers.neighbour import find
from tests.process.test_proxy_protocol import ALL, WEB, said

CLIENT = "127.0.0.5"  # another address than HAProxy's

CONFIG = """\
global
    stats socket {folder}/haproxy.sock
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout check 2s
"""
FRONT = """
frontend {name}
    bind fd@{fd} {tls}
    unique-id-format %ci-%cp
    default_backend {name}
backend {name}
    server one {server} {options}
"""
TLS = "ssl crt {certificate} alpn http/1.1"
#: By name: what its server line has, and whether TLS ends at HAProxy.
WAYS = {
    "v1": ("send-proxy", False),
    "v2": ("send-proxy-v2", False),
    "crc": ("send-proxy-v2 proxy-v2-options crc32c,unique-id", False),
    "ssl": ("send-proxy-v2-ssl", True),
    "all": ("send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,unique-id,crc32c", True),
    "checked_v1": ("send-proxy check inter 100ms rise 1", False),
    "checked_v2": ("send-proxy-v2 check-send-proxy check inter 100ms rise 1", False),
}

PLAIN = tuple(name for name in WAYS if "checked" not in name)
KINDS = [("tcp", kind) for kind in ALL] + [("unix", kind) for kind in ("a lane", "a coroutine", "WSGI")]


class Fronts(Protocol):
    """Start HAProxy in front of this server; its front doors by the ways that they hand on."""

    def __call__(self, behind: Door, ways: Collection[str] = PLAIN) -> dict[str, Door]: ...


@pytest.fixture
def haproxy(doors: Callable[[str], Door], neighbour: Beside, tmp_path: Path, certificate: Path) -> Fronts:
    def start(behind: Door, ways: Collection[str] = PLAIN) -> dict[str, Door]:
        find("haproxy")
        fronts = {name: doors("tcp") for name in ways}
        server = f"unix@{behind.address}" if isinstance(behind.address, str) else host_port(behind)
        text = CONFIG.format(folder=tmp_path)
        fds = []
        for name, front in fronts.items():
            listener, (options, is_tls) = front.listener, WAYS[name]
            assert listener is not None
            fds.append(listener.fileno())
            tls = TLS.format(certificate=certificate) if is_tls else ""
            text += FRONT.format(name=name, fd=fds[-1], tls=tls, server=server, options=options)
        (tmp_path / "proxy.cfg").write_text(text)
        started = neighbour("haproxy", "-db", "-f", str(tmp_path / "proxy.cfg"), fds=fds)
        until(lambda: (tmp_path / "haproxy.sock").exists() or started.process.poll(), what="HAProxy to start")
        assert started.process.poll() is None, started.log
        return fronts

    return start


def through(front: Door, data: bytes) -> tuple[Any, Any]:  # Any: JSON, an address
    """What the handler behind this front says, and who we are."""
    with front.connect_from(CLIENT) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return json.loads(read_all(client).splitlines()[-1]), list(client.getsockname())


def page(front: Door, certificate: Path) -> tuple[Any, Any]:  # Any: as above
    """The same by a request over TLS, which needs no end."""
    with front.connect_from(CLIENT) as plain:
        mine = list(plain.getsockname())
        trust = ssl.create_default_context(cafile=str(certificate))
        with trust.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(said("WSGI", b"data"))
            return json.loads(b"".join(iter(lambda: client.recv(65_536), b"")).splitlines()[-1]), mine


@pytest.mark.parametrize(("transport", "kind"), KINDS)
def test_handlers_see_the_client_through_haproxy(
    kind: str, transport: str, serve: Serve, doors: Callable[[str], Door], haproxy: Fronts, certificate: Path
) -> None:
    handler, flags = ALL[kind]
    behind = doors(transport)
    server = serve(handler, *flags, "--proxy-protocol", "auto", binds=[behind])
    fronts = haproxy(behind)

    for name, front in fronts.items():
        _, is_tls = WAYS[name]
        if is_tls and kind not in WEB:
            continue
        got, mine = page(front, certificate) if is_tls else through(front, said(kind, b"data"))
        assert (got["client"], got["server"], got["data"]) == (mine, list(front.address), 4), name
        header = got["header"]
        assert (header["version"], header["family"]) == (1 if "v1" in name else 2, "TCP4")
        assert header["unique_id"] == (f"{mine[0]}-{mine[1]}" if name in ("crc", "all") else "")
        if is_tls:
            assert header["tls"][0] == "TLSv1.3"
            assert (got.get("scheme") or got["variables"]["wsgi.url_scheme"]) == "https"
        if name == "all":
            assert (header["authority"], header["alpn"]) == ("localhost", "")
            assert header["tls"][2].startswith("TLS_")
    assert server.metrics().sum("forkful_refused_total", reason="protocol") == 0


@pytest.mark.parametrize("kind", ["a lane", "a coroutine", "a protocol on asyncio", "ASGI"])
@pytest.mark.parametrize("mode", ["v1", "v2"])
def test_haproxys_checks_send_headers_too(
    kind: str, mode: str, serve: Serve, doors: Callable[[str], Door], haproxy: Fronts, tmp_path: Path
) -> None:
    handler, flags = ALL[kind]
    behind = doors("tcp")
    server = serve(handler, *flags, "--proxy-protocol", mode, binds=[behind])
    haproxy(behind, [f"checked_{mode}"])

    def statistics() -> dict[str, str]:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "haproxy.sock"))
            client.sendall(b"show stat\n")
            rows = csv.DictReader(io.StringIO(read_all(client).decode().removeprefix("# ")))
        return next(row for row in rows if (row["pxname"], row["svname"]) == (f"checked_{mode}", "one"))

    def checked() -> bool:
        taken = server.metrics().sum("forkful_connections_accepted_total")
        return statistics()["check_status"] == "L4OK" and taken > 5

    until(checked, what="checks that are let in")
    assert statistics()["chkfail"] == "0"
    assert server.metrics().sum("forkful_refused_total") == 0


def test_websockets_see_the_client_through_haproxy(serve: Serve, doors: Callable[[str], Door], haproxy: Fronts) -> None:
    behind = doors("tcp")
    serve("proxied:asgi", "--proxy-protocol", "v2", binds=[behind])
    front = haproxy(behind)["v2"]

    with front.connect_from(CLIENT) as sock:
        mine = list(sock.getsockname())
        with connect(f"ws://{host_port(front)}/", sock=sock) as client:
            got = json.loads(client.recv())
    assert (got["client"], got["server"]) == (mine, list(front.address))
    assert got["header"]["version"] == 2


@pytest.mark.parametrize(
    ("handler", "flags"),
    [("classic:EchoHandler", ("--threads", "4")), ("loops:echo", ()), ("loops:Echo", ("--event-loop", "asyncio"))],
)
def test_nothing_is_lost_through_haproxy_while_reloads_go_on(
    handler: str, flags: tuple[str, ...], serve: Serve, doors: Callable[[str], Door], haproxy: Fronts
) -> None:
    behind = doors("tcp")
    server = serve(handler, *flags, "--workers", "2", "--proxy-protocol", "v2", binds=[behind])
    front = haproxy(behind)["crc"]

    with Load(front, clients=4, shut=True) as load:
        for _ in range(4):
            load.more(50)
            assert server.reload().returncode == 0
        load.more(50)
    assert server.metrics().sum("forkful_refused_total") == 0
