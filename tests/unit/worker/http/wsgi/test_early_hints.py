"""Early hints of a WSGI application: `wsgi.early_hints`, as Gunicorn has it."""

from collections.abc import Iterable
from typing import Any

import pytest

from forkful.handlers.wsgi import Environ, StartResponse
from tests.unit.worker.http.wire import Client

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LINKS = [("Link", "</a>; rel=preload"), ("Link", "</b>; rel=preload")]
HINTED = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nLink: </b>; rel=preload\r\n\r\n"


def hinting(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.early_hints"](LINKS)
    start_response("200 OK", [])
    environ["wsgi.early_hints"](iter(LINKS))
    yield b"one"
    environ["wsgi.early_hints"](LINKS)  # too late
    yield b"two"


def test_early_hints_go_before_the_answer() -> None:
    client = Client(hinting)

    for _ in range(2):
        heard = client.say(GET)
        assert heard.startswith(HINTED * 2 + b"HTTP/1.1 200 OK\r\n")
        assert heard.count(b" 103 ") == 2
        assert heard.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_a_client_of_1_0_hears_none() -> None:
    assert Client(hinting).say(b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("field", [("Link", "a\r\nX: y"), ("Li nk", "a"), ("Link",), "Link"])
def test_an_early_hint_cannot_split_an_answer(field: Any) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.early_hints"]([field])
        start_response("200 OK", [])
        return []

    assert Client(app).say(GET).startswith(b"HTTP/1.1 500 ")


def test_what_frames_a_message_is_no_hint() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.early_hints"](
            [("Content-Length", "7"), ("Transfer-Encoding", "chunked"), ("Connection", "close")]
        )
        start_response("200 OK", [])
        return [b"ok"]

    assert Client(app).say(GET).startswith(b"HTTP/1.1 200 OK\r\n")
