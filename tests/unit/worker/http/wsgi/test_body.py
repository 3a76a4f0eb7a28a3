"""The body of a request: small ones are whole before the application is asked, it waits for larger ones."""

from collections.abc import Iterable

import pytest

from forkful.handlers.wsgi import Environ, StartResponse
from forkful.worker.http.limits import Limits
from forkful.worker.ipc.scoreboard import BUCKETS, REFUSED, RESET, SINCE, STARTED
from tests.unit.worker.http.wire import Client, status, statuses
from tests.unit.worker.http.wsgi.test_exchange import TEXT, answering


def reading(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Says how much it read, and of what kind that was."""
    source = environ["wsgi.input"]
    said = f"{len(source.read())} {type(source).__name__} {environ.get('CONTENT_LENGTH')}".encode()
    start_response("200 OK", TEXT)
    return [said]


PUT = b"PUT / HTTP/1.1\r\nHost: a\r\n"


def test_a_small_body_is_whole_before_the_application_is_asked() -> None:
    client = Client(reading)

    assert client.say(PUT + b"Content-Length: 1000000\r\n\r\n", bytes(999_999)) == b""
    assert client.row[STARTED] == 0
    assert client.say(b"x").endswith(b" 1000000")


def test_the_application_is_asked_for_a_large_body_before_it_comes() -> None:
    client = Client(reading)

    assert client.say(PUT + b"Content-Length: 3000000\r\n\r\n", bytes(1_000_000)) == b""
    assert client.row[STARTED] == 1
    assert client.row[SINCE] == 0, "waiting for a client is no work"
    assert client.say(bytes(1_000_000), bytes(1_000_000)).endswith(b"3000000 BufferedReader 3000000")
    assert not client.transport.over


def test_a_body_of_unknown_length_is_whole_in_a_file_and_has_a_length() -> None:
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    client = Client(reading)

    heard = client.say(PUT + b"Transfer-Encoding: chunked\r\n\r\n", chunk, chunk, b"0\r\n\r\n")

    assert heard.endswith(b" 2097152")
    assert client.service.budget.held == 0


def test_who_announces_much_to_nobody_is_answered_at_once_and_nothing_of_it_is_kept() -> None:
    client = Client(answering([b"no such thing"], status="404 Not Found"))

    heard = client.say(PUT + b"Content-Length: 1000000000\r\n\r\n")

    assert statuses(heard) == [404]
    assert b"Connection: close" in heard
    client.connection.data_received(bytes(1_000_000))
    assert client.service.budget.held == 0


def test_what_the_application_does_not_read_yet_waits_within_bounds() -> None:
    client = Client(reading)
    client.connection.data_received(PUT + b"Content-Length: 30000000\r\n\r\n")
    while not client.transport.paused:
        client.connection.data_received(bytes(65_536))

    assert client.service.budget.held < 500_000
    client.settle()
    assert not client.transport.paused, "now it reads"


def test_a_process_has_a_budget_for_bodies_that_wait() -> None:
    client = Client(reading)
    client.service.budget.limit = 100_000
    client.connection.data_received(PUT + b"Content-Length: 900000\r\n\r\n")
    client.connection.data_received(bytes(300_000))
    client.settle()

    assert client.row[STARTED] == 1, "it is asked before its body is whole"
    assert client.say(bytes(600_000)).endswith(b"900000 BufferedReader 900000")
    assert client.service.budget.held == 0


def test_half_a_body_never_looks_whole(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[BaseException] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            errors.append(error)
            raise
        start_response("200 OK", TEXT)
        return [b""]

    client = Client(app)
    client.say(PUT + b"Content-Length: 3000000\r\n\r\n", bytes(1_000_000))
    client.leave()
    client.settle()

    assert [type(error) for error in errors] == [ConnectionResetError]
    assert client.row[RESET] == 1
    assert client.row[STARTED] == sum(client.row[BUCKETS:63]) == 1
    assert client.service.budget.held == 0
    assert not caplog.records


def test_the_time_of_a_body_stands_still_while_the_application_does_not_read() -> None:
    client = Client(reading)
    client.connection.data_received(PUT + b"Content-Length: 30000000\r\n\r\n")
    while not client.transport.paused:
        client.connection.data_received(bytes(65_536))

    assert client.connection.overdue(1 << 62) == 0


@pytest.mark.parametrize("name", ["read", "read1", "readline", "readinto", "readinto1", "readlines", "__iter__"])
@pytest.mark.parametrize("size", [0, 9, 2_000_000])
def test_an_input_has_every_way_of_reading(name: str, size: int) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        source = environ["wsgi.input"]
        assert source.readable()
        if name.startswith("readinto"):
            buffer = bytearray(size + 1)
            got = b""
            while count := getattr(source, name)(buffer):
                got += buffer[:count]
        elif name in ("readlines", "__iter__"):
            got = b"".join(getattr(source, name)())
        else:
            got = b""
            while piece := getattr(source, name)(7_000):
                got += piece
        start_response("200 OK", TEXT)
        return [str(got == body).encode()]

    body = (b"x" * 99 + b"\n") * (size // 100) + b"y" * (size % 100)
    client = Client(app)
    assert client.say(PUT + b"Content-Length: %d\r\n\r\n" % size, body[:1000], body[1000:]).endswith(b"True")


def test_100_continue_is_said_once_and_only_to_those_who_wait_when_the_application_reads() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    client = Client()

    assert client.say(head) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert status(client.say(b"x")) == 200
    assert statuses(client.say(head + b"x")) == [200]
    assert statuses(Client(answering([b"no"], status="403 Forbidden")).say(head)) == [403]


def test_a_body_beyond_the_limit_is_refused_before_it_is_sent() -> None:
    client = Client(limits=Limits(body=10))

    heard = client.say(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n")

    assert statuses(heard) == [413]
    assert client.row[REFUSED] == 1


def test_a_chunked_body_beyond_the_limit_is_refused() -> None:
    client = Client(limits=Limits(body=10))
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert statuses(client.say(head, b"6\r\nabcdef\r\n", b"6\r\nabcdef\r\n")) == [413]
