"""The classic echo program: by `forkful serve`, over every transport and family, its own reply to the byte."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGTERM
from socket import SHUT_WR

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, door_of, read_all

STREAMS = ("tcp", "tcp6", "unix")
DATAGRAMS = ("udp", "udp6", "unixgram")


@pytest.mark.parametrize("kind", STREAMS)
def test_echo_handler_serves_streams(kind: str, serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors(kind)
    serve("classic:EchoHandler", "--workers", "2", binds=[door])

    assert [door.ask(b"hello %d" % n) for n in range(20)] == [b"hello %d" % n for n in range(20)]


@pytest.mark.parametrize("kind", DATAGRAMS)
def test_echo_handler_serves_datagrams(kind: str, serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors(kind)
    serve("classic:DatagramEcho", "--workers", "2", binds=[door])

    assert [door.ask(b"hello %d" % n) for n in range(20)] == [b"hello %d" % n for n in range(20)]


def test_datagram_request_handler_answers_with_what_it_wrote(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("udp")
    serve("classic:DatagramUpper", binds=[door])

    assert door.ask(b"a word") == b"A WORD"


@pytest.mark.parametrize("threads", ["1", "4"])
def test_stream_request_handler_keeps_a_dialogue(threads: str, serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    serve("classic:LineHandler", "--threads", threads, binds=[door])

    with door.connect() as client, client.makefile("rwb") as stream:
        for word in (b"one\n", b"two\n", b"three\n"):
            stream.write(word)
            stream.flush()
            assert stream.readline() == word.upper()


def test_threads_serve_as_many_connections_at_once(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--threads", "5", binds=[door])

    with ThreadPoolExecutor(5) as clients:
        answers = [clients.submit(door.ask, b"wait") for _ in range(5)]
        started = {server.events.expect("started") for _ in range(5)}
        server.events.let_through(5)
        assert [answer.result() for answer in answers] == [b"wait"] * 5
    assert len(started) == 1, "one process, five lanes"


def test_workers_share_one_listening_socket(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--workers", "3", binds=[door])

    with ThreadPoolExecutor(3) as clients:
        answers = [clients.submit(door.ask, b"wait") for _ in range(3)]
        pids = {int(server.events.expect("started").split()[1]) for _ in range(3)}
        server.events.let_through(3)
        assert [answer.result() for answer in answers] == [b"wait"] * 3
    assert pids == set(server.workers().values()), "each of the three workers has one connection"


@pytest.mark.parametrize(
    ("handler", "bind", "scheme"),
    [
        ("classic:EchoHandler", "*:0", "tcp"),
        ("classic:DatagramEcho", "udp://*:0", "udp"),
        ("classic:DatagramUpper", "*:0", "udp"),  # a DatagramRequestHandler says itself what it is for
    ],
)
def test_star_is_every_interface_of_both_families(handler: str, bind: str, scheme: str, serve: Serve) -> None:
    server = serve(handler, "--bind", bind, binds=[])
    (url,) = server.listeners()
    door = door_of(url)

    assert url.startswith(f"{scheme}://*:")
    assert door.at("127.0.0.1").ask(b"4") == b"4"
    assert door.at("::1").ask(b"6") == b"6"


@pytest.mark.parametrize("bind", ["tcp://127.0.0.1:0", "127.0.0.1:0", "[::1]:0", "tcp://[::1]:0", "localhost:0"])
def test_port_zero_is_shown_as_the_port_in_use(bind: str, serve: Serve) -> None:
    server = serve("classic:EchoHandler", "--bind", bind, binds=[])
    (url,) = server.listeners()

    assert not url.endswith(":0")
    assert url in server.log
    assert door_of(url).ask(b"found") == b"found"


@pytest.mark.parametrize(("scheme", "handler"), [("unix", "EchoHandler"), ("unixgram", "DatagramEcho")])
def test_unix_path_is_made_served_and_removed(scheme: str, handler: str, serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "own.sock"
    server = serve(f"classic:{handler}", "--bind", f"{scheme}://{path}", binds=[])

    assert path.is_socket()
    assert door_of(f"{scheme}://{path}").ask(b"hello") == b"hello"
    server.signal(SIGTERM)
    assert server.wait_exit() == 0
    assert not path.exists()


def test_several_listeners_of_one_pool_are_all_served(serve: Serve, doors: Callable[[str], Door]) -> None:
    own = [doors(kind) for kind in ("tcp", "tcp6", "unix")]
    serve("classic:EchoHandler", "--workers", "1", binds=own)

    for _ in range(3):
        assert [door.ask(b"x") for door in own] == [b"x"] * 3


def test_ready_made_handlers_serve_without_any_code(serve: Serve, doors: Callable[[str], Door], tmp_path: Path) -> None:
    stream, datagram, web = doors("tcp"), doors("udp"), doors("tcp")
    config = f"""
[pool.echo]
handler = "forkful.handlers.echo:EchoStream"
bind = ["{stream.url}"]

[pool.echo-udp]
handler = "forkful.handlers.echo:EchoDatagram"
bind = ["{datagram.url}"]

[pool.web]
handler = "forkful.handlers.page:PageHandler"
bind = ["{web.url}"]
"""
    serve(binds=[stream, datagram, web], config=config, cwd=tmp_path)

    with stream.connect() as client:
        client.sendall(bytes(100_000))
        client.shutdown(SHUT_WR)
        assert read_all(client) == bytes(100_000)
    assert datagram.ask(b"back") == b"back"
    assert b"200 OK" in web.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
