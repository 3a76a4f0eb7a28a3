"""ASGI by a real server: lifespan around it, disconnects delivered, WebSockets, streams without a deadline."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from signal import SIGTERM
from typing import Self

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, Pong, Request, TextMessage

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.wait import until
from tests.kit.web import Web, get, talk

Doors = Callable[[str], Door]
GET = b"GET /%b HTTP/1.1\r\nHost: test\r\n\r\n"


class Chat:
    """A WebSocket client."""

    def __init__(self, door: Door) -> None:
        self.sock = door.connect()
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.say(Request(host="test", target="/chat?room=1"))

    def say(self, event: Event) -> None:
        self.sock.sendall(self.protocol.send(event))

    def hear(self) -> Event:
        while True:
            for event in self.protocol.events():
                return event
            self.protocol.receive_data(self.sock.recv(65_536) or None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def test_lifespan_is_around_everything(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("asgi:echo", binds=[door])
    started = server.events.expect("startup")

    assert get(door, "/x").text == "x"
    server.signal(SIGTERM)

    assert server.events.expect("shutdown").split()[1] == started.split()[1]
    assert server.wait_exit() == 0


def test_a_startup_that_fails_is_a_failure_to_boot_with_its_message(serve: Serve) -> None:
    server = serve("asgi:refuses", ready=False)

    assert server.wait_exit() == 3
    assert "the application's start-up failed: the database is away" in server.log


def test_an_application_without_lifespan_is_served(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    serve("asgi:ignorant", binds=[door])

    assert get(door, "/").text == "served"


@pytest.mark.parametrize("application", ["ignorant", "indifferent"])
def test_an_application_that_must_have_a_lifespan_and_has_none_does_not_start(application: str, serve: Serve) -> None:
    server = serve(f"asgi:{application}", "--interface", "asgi", "--lifespan", "on", ready=False)

    assert server.wait_exit() == 3
    assert "lifespan is on, and the application has none" in server.log
    server.may_log_tracebacks = True  # what the application raised, where it did


def test_a_reload_that_wants_a_lifespan_of_an_application_without_one_fails(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    config = f'[pool.main]\nhandler = "asgi:ignorant"\ninterface = "asgi"\nbind = ["{door.url}"]\n'
    server = serve(config=config, binds=[door])
    server.may_log_tracebacks = True

    server.configure(config + 'lifespan = "on"\n')
    result = server.reload()

    assert result.returncode != 0
    assert "lifespan is on, and the application has none" in result.stderr
    assert get(door, "/").text == "served"


def test_an_operator_may_say_what_an_application_is_and_where(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    serve("asgi:hidden", "--interface", "asgi", "--root-path", "/app", binds=[door])

    assert get(door, "/app/x").text == "served"


@pytest.mark.parametrize("path", ["/fail", "/nothing"])
def test_an_application_that_fails_is_answered_500(path: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("asgi:echo", binds=[door])
    server.may_log_tracebacks = True

    assert get(door, path).status == 500
    assert get(door, "/fine").text == "fine"
    until(lambda: server.metrics().sum("forkful_requests_total", outcome="error") == 1, what="one error")


def test_a_disconnect_is_delivered(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("asgi:echo", binds=[door])

    with door.connect() as client:
        client.sendall(GET % b"leave")
        server.events.expect("waiting")
    server.events.expect("disconnected")
    until(lambda: server.metrics().sum("forkful_requests_total", outcome="reset") == 1, what="one reset")


def test_a_stream_may_last_and_ends_with_its_reader(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("asgi:echo", "--timeout", "0.3", binds=[door])

    with door.connect() as client, client.makefile("rb") as lines:
        client.sendall(GET % b"stream")
        for line in lines:
            if line == b"data: 60\n":
                break
        assert server.metrics().sum("forkful_oldest_request_seconds") == 0, (
            "what has begun to be answered has no deadline"
        )
    server.events.expect("the reader left")
    assert len(server.workers()) == 1
    assert "beyond" not in server.log


def test_many_requests_are_in_flight_at_once(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("asgi:echo", binds=[door])

    with ThreadPoolExecutor(10) as clients:
        answers = [clients.submit(get, door, "/wait") for _ in range(10)]
        for _ in range(10):
            server.events.expect("started")
        assert get(door, "/fine").text == "fine"
        assert server.metrics().sum("forkful_connections_active") >= 10
        server.events.let_through(10)
        assert [answer.result().text for answer in answers] == ["wait"] * 10


def test_what_is_left_when_the_time_is_up_is_cut_short_and_lifespan_ends(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("asgi:echo", "--graceful-timeout", "1", binds=[door])

    with door.connect() as waiting, door.connect() as listening:
        listening.sendall(GET % b"stream")
        assert listening.recv(1000).startswith(b"HTTP/1.1 200 ")
        waiting.sendall(GET % b"wait")
        server.events.expect("started")
        server.signal(SIGTERM)
        assert waiting.recv(1000).startswith(b"HTTP/1.1 503 ")
        server.events.expect("shutdown")

    assert server.wait_exit() == 0
    log = server.log
    assert "2 connections are cut short, among them\nGET '/wait' of " in log
    assert "gone (stop), exit code 0" in log
    assert "error in" not in log


def test_a_stuck_request_is_found_and_its_task_named(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("asgi:echo", "--timeout", "0.4", "--timeout-action", "report", binds=[door])
    server.may_log_tracebacks = True

    with door.connect() as client:
        client.sendall(GET % b"wait")
        server.events.expect("started")
        log = server.wait_for_log("stacks of tasks")
        assert re.search(r"GET '/wait' of 127\.0\.0\.1:\d+, for [01]\.", log)
        assert "await gate()" in log
        server.events.let_through()
        assert client.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_blocked_loop_is_found_and_its_stack_dumped(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("asgi:echo", "--timeout", "0.4", "--graceful-timeout", "1", binds=[door])
    server.may_log_tracebacks = True

    with door.connect() as client:
        client.sendall(GET % b"block")
        victim = int(server.events.expect("started").split()[1])
        server.wait_for_workers(1, besides=[victim])
        assert client.recv(100) == b""

    log = server.wait_for_log("died (timeout)")
    assert "in echo" in log
    assert get(door, "/fine").text == "fine"


def test_a_websocket_echoes_text_and_bytes(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("asgi:echo", binds=[door])

    with Chat(door) as chat:
        assert isinstance(chat.hear(), AcceptConnection)
        chat.say(TextMessage(data="hello"))
        assert chat.hear() == TextMessage(data="hello")
        chat.say(BytesMessage(data=b"hello" * 10_000))
        heard = b""
        while len(heard) < 50_000:
            event = chat.hear()
            assert isinstance(event, BytesMessage)
            heard += event.data
        assert heard == b"hello" * 10_000
        chat.say(Ping(payload=b"there?"))
        assert chat.hear() == Pong(payload=b"there?")
        chat.say(CloseConnection(code=1000))
        assert chat.hear() == CloseConnection(code=1000, reason="")
    server.events.expect("disconnected 1000")


def test_a_websocket_whose_peer_vanishes_is_told_so(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("asgi:echo", binds=[door])

    with Chat(door) as chat:
        chat.hear()
    server.events.expect("disconnected 1006")


def test_a_drain_says_goodbye_to_websockets(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("asgi:echo", binds=[door])

    with Chat(door) as chat:
        chat.hear()
        server.signal(SIGTERM)
        event = chat.hear()
        assert isinstance(event, CloseConnection)
        assert event.code == 1012
        chat.say(event.response())
    server.events.expect("disconnected 1012")
    assert server.wait_exit() == 0


def test_what_is_no_handshake_is_refused(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    serve("asgi:echo", binds=[door])

    heard = talk(door, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")

    assert heard.startswith(b"HTTP/1.1 400 ")


def test_starlette_runs(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    serve("frameworks:star", binds=[door])

    with Web(door) as web:
        assert json.loads(web.ask("/state?x=1").body) == {"started": True, "query": {"x": "1"}}
        assert web.ask("/upload", "POST", b"x" * 3_000_000).text == "3000000"
        assert web.ask("/nowhere").status == 404


@pytest.mark.parametrize("app", ["frameworks:flask", "frameworks:django_wsgi", "frameworks:django_asgi"])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_flask_and_django_run(app: str, threads: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    serve(app, "--threads", threads, binds=[door])

    with Web(door) as web:
        assert web.ask("/hello/w%C3%B6rld").text == "hello wörld"
        body = "a=1&b=%C3%A4"
        assert web.ask("/form", "POST", body, Content_Type="application/x-www-form-urlencoded").text == "a=1 b=ä"
        assert web.ask("/stream").text == "onetwothree"
        assert web.ask("/nowhere").status == 404
