"""HTTP behind PROXY headers: each request of a connection, logs, X-Forwarded-*, and one address alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Serve
from tests.kit import proxy_headers as made
from tests.kit.door import Door, door_of
from tests.kit.wait import until
from tests.process.test_proxy_protocol import CLIENT, SERVED, V1, WEB, ask


def requests(*heads: str) -> bytes:
    """One after the other on a connection; the last one ends it."""
    lines = [f"GET / HTTP/1.1\r\nHost: here\r\n{head}\r\n" for head in heads[:-1]]
    return "".join([*lines, f"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{heads[-1]}\r\n"]).encode()


def records(answer: bytes) -> list[Any]:  # Any: JSON
    return [json.loads(line) for line in answer.splitlines() if line.startswith(b"{")]


@pytest.mark.parametrize("kind", WEB)
def test_every_request_of_a_connection_is_the_clients(kind: str, serve: Serve, doors: Callable[[str], Door]) -> None:
    handler, flags = WEB[kind]
    door = doors("tcp")
    serve(handler, *flags, "--proxy-protocol", "v1", binds=[door])

    got = records(door.ask(V1 + requests("", "", "")))
    assert [(each["client"], each["server"]) for each in got] == [(CLIENT, SERVED)] * 3


@pytest.mark.parametrize("kind", ["WSGI", "ASGI"])
@pytest.mark.parametrize(
    ("trusted", "seen"), [("127.0.0.1", CLIENT[0]), ("203.0.113.0/24", "6.6.6.6")], ids=["the proxy", "the client"]
)
def test_what_is_forwarded_is_believed_of_the_client_and_not_of_the_proxy(
    kind: str, trusted: str, seen: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    handler, flags = WEB[kind]
    door = doors("tcp")
    serve(handler, *flags, "--proxy-protocol", "v1", "--forwarded-allow-ips", trusted, binds=[door])

    (got,) = records(door.ask(V1 + requests("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n")))
    assert got["client"][0] == seen
    scheme = got.get("scheme") or got["variables"]["wsgi.url_scheme"]
    assert scheme == ("https" if seen == "6.6.6.6" else "http")


@pytest.mark.parametrize("kind", ["WSGI", "ASGI"])
def test_no_field_of_a_client_passes_for_a_header(kind: str, serve: Serve, doors: Callable[[str], Door]) -> None:
    handler, flags = WEB[kind]
    door = doors("tcp")
    serve(handler, *flags, "--proxy-protocol", "auto", binds=[door])

    (got,) = records(door.ask(requests("PROXY-PROTOCOL: TCP4\r\nProxy-Protocol-SSL-CN: root\r\nProxy-Addr: x\r\n")))
    assert got["header"] is None
    assert got.get("variables", {}).keys() <= {"wsgi.url_scheme"}


@pytest.mark.parametrize("kind", ["WSGI in threads", "ASGI"])
def test_the_access_log_has_the_client(kind: str, serve: Serve, doors: Callable[[str], Door], tmp_path: Path) -> None:
    handler, flags = WEB[kind]
    door, path = doors("tcp"), tmp_path / "access.log"
    log = ("--access-log", str(path), "--access-log-format", "%(h)s %({PROXY_PROTOCOL_UNIQUE_ID}e)s")
    serve(handler, *flags, *log, "--proxy-protocol", "v2", binds=[door])

    block = made.tcp4(("203.0.113.7", 4242), ("198.51.100.1", 443)) + made.tlv(made.UNIQUE_ID, b"id-7")
    assert ask(door, made.v2(made.TCP4, block) + requests(""))["client"] == CLIENT
    line = until(path.read_text, what="a line in the access log")
    assert line == ("203.0.113.7 id-7\n" if kind.startswith("WSGI") else "203.0.113.7 -\n")


@pytest.mark.parametrize("handler", ['handler = "proxied:Lane"', 'handler = "proxied:wsgi"\ninterface = "wsgi"'])
def test_one_address_of_a_pool_may_have_headers_alone(handler: str, serve: Serve, tmp_path: Path) -> None:
    unix = tmp_path / "behind.sock"
    text = f'[pool.main]\n{handler}\nbind = ["tcp://127.0.0.1:0", "unix:{unix}"]\n'
    server = serve(config=f'{text}[pool.main.listener."unix:{unix}"]\nproxy_protocol = "v1"\n')
    plain, behind = (door_of(url) for url in server.listeners())
    data = b"GET / HTTP/1.0\r\n\r\n"

    assert ask(plain, data)["client"][0] == "127.0.0.1"
    assert ask(behind, V1 + data)["client"] == CLIENT
    assert ask(behind, data) is None
