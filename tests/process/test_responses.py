"""HTTP answers by the class of their status: exact, whoever made them, and a 5xx is an error."""

from collections.abc import Callable

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, read_all
from tests.kit.server import Server
from tests.kit.wait import until
from tests.kit.web import get, talk

Doors = Callable[[str], Door]
HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def counted(server: Server, wanted: dict[str, int], **outcomes: int) -> None:
    """Wait until these are the figures, and no others."""

    def figures() -> tuple[dict[str, int], dict[str, int]]:
        metrics = server.metrics()
        classes = {f"{n}xx": int(metrics.sum("forkful_http_responses_total", code=f"{n}xx")) for n in range(1, 6)}
        names = ("ok", "error", "reset", "refused", "timeout")
        ended = {name: int(metrics.sum("forkful_requests_total", outcome=name)) for name in names}
        return {k: v for k, v in classes.items() if v}, {k: v for k, v in ended.items() if v}

    try:
        until(lambda: figures() == (wanted, outcomes), what="the figures", within=5)
    except AssertionError:
        pytest.fail(f"{figures()} instead of {(wanted, outcomes)}")


@pytest.mark.parametrize(
    ("app", "threads"),
    [
        ("statuses:wsgi", "1"),
        ("statuses:wsgi", "3"),
        ("statuses:asgi", "1"),
        ("statuses:flask", "2"),
        ("statuses:star", "1"),
    ],
)
def test_answers_are_counted_by_class_and_a_5xx_is_an_error(serve: Serve, doors: Doors, app: str, threads: str) -> None:
    door = doors("tcp")
    server = serve(app, "--threads", threads, binds=[door])
    server.may_log_tracebacks = True

    for _ in range(20):
        assert get(door, "/500").status == 500
    for status in (200, 200, 204, 302, 404, 503):
        assert get(door, f"/{status}").status == status
    assert get(door, "/raise").status == 500
    assert talk(door, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert talk(door, b"GET / HTTP/3.1\r\n\r\n").startswith(b"HTTP/1.1 505 ")

    counted(server, {"2xx": 3, "3xx": 1, "4xx": 2, "5xx": 23}, ok=5, error=23, refused=1)
    assert server.run("status", "--json").stdout.count('"5xx": 23') == 1
    assert "23" in server.run("status").stdout


def test_handshakes_of_websockets_are_answers(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("asgi:echo", binds=[door])

    with door.connect() as client:
        client.sendall(HANDSHAKE)
        assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
    assert talk(door, HANDSHAKE.replace(b"-Key", b"-Kei")).startswith(b"HTTP/1.1 400 ")

    counted(server, {"1xx": 1, "4xx": 1}, ok=1, refused=1)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("app", ["wsgi", "asgi"])
def test_half_an_answer_never_looks_whole_to_a_client_of_1_0_either(
    app: str, loop: str, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve(f"released:{app}", "--event-loop", loop, binds=[door])
    server.may_log_tracebacks = True

    with door.connect() as client:
        client.sendall(b"GET /late HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            read_all(client)
