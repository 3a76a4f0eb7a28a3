"""What a request held is released when it ends, by reference counting: the cyclic collector is off."""

import weakref
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from forkful.handlers.wsgi import Environ, StartResponse
from tests.unit.worker.http.wire import Client

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
LARGE = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000
App = Callable[[Environ, StartResponse], Iterable[bytes]]


pytestmark = pytest.mark.usefixtures("collector_is_off")


class Kept:
    """Something of a request's."""


def whole(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"ok"]


def large(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"x" * 200_000]


def streams(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.early_hints"]([("Link", "a")])
    start_response("200 OK", [])
    yield from (b"one", b"two")


def writes(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", [])
    write(b"one")
    return [b"two"]


def raises(_: Environ, __: StartResponse) -> Iterable[bytes]:
    raise ValueError


def raises_late(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    yield b"one"
    raise ValueError


def reads(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [])
    return [b"%d" % size]


def wraps(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    result: Iterable[bytes] = environ["wsgi.file_wrapper"](Path("/proc/self/status").open("rb"))  # noqa: SIM115  # its close is ours
    return result


@pytest.mark.parametrize("raw", [GET, POST, LARGE], ids=["GET", "POST", "large"])
@pytest.mark.parametrize("app", [whole, large, streams, writes, raises, raises_late, reads, wraps])
def test_nothing_of_a_request_outlives_it(app: App, raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[weakref.ref[Kept]] = []

    def holding(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        mine = environ["kept"] = Kept()
        kept.append(weakref.ref(mine))
        return app(environ, start_response)

    client = Client(holding)
    monkeypatch.setattr(client.service, "failed", lambda *_: None)  # pytest keeps every record, with its traceback
    client.say(raw)
    client.leave()
    client.settle()

    assert [each() for each in kept] == [None]
    assert client.service.budget.held == client.service.answers.held == 0
