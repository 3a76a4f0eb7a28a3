"""WSGI to the letter (PEP 3333), over a fake transport."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast
from wsgiref.validate import validator

import pytest

from forkful.handlers.wsgi import Environ, StartResponse
from forkful.worker.ipc.scoreboard import ERROR, STARTED
from tests.unit.worker.http.wire import Client, status, statuses

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
GET10 = b"GET / HTTP/1.0\r\n\r\n"

App = Callable[[Environ, StartResponse], Iterable[bytes]]
TEXT = [("Content-Type", "text/plain")]


def answering(result: Iterable[bytes], *fields: tuple[str, str], status: str = "200 OK") -> App:
    def app(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [*TEXT, *fields])
        return result

    return app


def fail() -> None:
    raise ValueError("oh")


class Closable:
    """An iterable that counts its ends."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.error:
            raise self.error

    def close(self) -> None:
        self.closed += 1


def test_one_piece_leaves_in_one_write_with_its_length() -> None:
    client = Client(answering([b"hello"]))

    assert client.say(GET) == (
        b"HTTP/1.1 200 OK\r\nServer: forkful\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    )


def test_several_pieces_go_in_chunks() -> None:
    client = Client(answering([b"ab", b"", b"c"]))

    head, _, body = client.say(GET).partition(b"\r\n\r\n")

    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert body == b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert not client.transport.over


def test_a_client_of_1_0_gets_no_chunks_but_the_end_of_the_connection() -> None:
    client = Client(answering([b"ab", b"c"]))

    head, _, body = client.say(GET10).partition(b"\r\n\r\n")

    assert b"Transfer-Encoding" not in head
    assert body == b"abc"
    assert client.transport.closed


def test_an_empty_answer_has_a_length() -> None:
    assert client_says(answering([]), GET).endswith(b"Content-Length: 0\r\n\r\n")


def client_says(app: App, *pieces: bytes) -> bytes:
    return Client(app).say(*pieces)


@pytest.mark.parametrize("code", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_have_none(code: str) -> None:
    client = Client(answering([b"never"], status=code))

    heard = client.say(GET, GET)

    assert statuses(heard) == [int(code[:3])] * 2
    assert b"never" not in heard
    assert b"Content-Length" not in heard
    assert b"Transfer-Encoding" not in heard


def test_head_has_the_length_and_no_body() -> None:
    heard = client_says(answering([b"hello"]), HEAD, HEAD)

    assert statuses(heard) == [200, 200]
    assert heard.count(b"Content-Length: 5") == 2
    assert b"hello" not in heard


def test_head_of_a_declared_length_keeps_it() -> None:
    heard = client_says(answering([], ("Content-Length", "77")), HEAD)

    assert b"Content-Length: 77" in heard
    assert heard.endswith(b"\r\n\r\n")


def test_more_than_was_declared_is_cut_off() -> None:
    heard = client_says(answering([b"hello"], ("Content-Length", "3")), GET, GET)

    assert heard.count(b"\r\n\r\nhel") == 2
    assert b"lo" not in heard.replace(b"close", b"")


def test_less_than_was_declared_never_looks_whole(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(answering([b"he", b"l"], ("Content-Length", "9")))

    client.say(GET)

    assert client.transport.aborted
    assert client.row[ERROR] == 1
    assert "Content-Length is 9, but the body has 3 bytes" in caplog.text


def test_an_application_that_raises_is_answered_500(caplog: pytest.LogCaptureFixture) -> None:
    def app(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        raise ValueError("oh")

    client = Client(app)

    assert status(client.say(GET)) == 500
    assert client.row[ERROR] == client.row[STARTED] == 1
    assert "ValueError: oh" in caplog.text
    assert "192.0.2.7:4711" in caplog.text


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_neither_exit_nor_interrupt_ends_the_worker(error: BaseException) -> None:
    def app(_: Environ, _start: StartResponse) -> Iterable[bytes]:
        raise error

    assert status(client_says(app, GET)) == 500


def test_a_generator_that_fails_in_the_middle_never_looks_whole() -> None:
    result = Closable(b"half", error=ValueError("oh"))
    client = Client(answering(result))

    heard = client.say(GET)

    assert heard.endswith(b"4\r\nhalf\r\n")
    assert client.transport.aborted
    assert result.closed == 1


def test_a_generator_that_fails_before_its_first_piece_is_a_500() -> None:
    assert status(client_says(answering(Closable(error=ValueError("oh"))), GET)) == 500


def test_close_is_called_and_its_failure_logged(caplog: pytest.LogCaptureFixture) -> None:
    result = Closable(b"a", b"b")
    Client(answering(result)).say(GET)
    assert result.closed == 1

    class Worse(Closable):
        def close(self) -> None:
            raise ValueError("not even that")

    client = Client(answering(Worse(b"a")))
    assert status(client.say(GET)) == 200
    assert client.row[ERROR] == 1
    assert "not even that" in caplog.text


def test_start_response_twice_needs_exc_info() -> None:
    def app(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        start_response("404 Not Found", TEXT)
        return [b""]

    assert status(client_says(app, GET)) == 500


def test_start_response_with_exc_info_replaces_the_head_while_it_can() -> None:
    def app(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("X-First", "1")])
        try:
            fail()
        except ValueError as error:
            start_response("503 Sorry", TEXT, (type(error), error, error.__traceback__))
        return [b"sorry"]

    heard = client_says(app, GET)

    assert status(heard) == 503
    assert b"X-First" not in heard


def test_start_response_with_exc_info_raises_once_the_head_is_sent() -> None:
    def app(_: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b"a"
        try:
            fail()
        except ValueError as error:
            start_response("503 Sorry", TEXT, (type(error), error, error.__traceback__))

    client = Client(app)

    assert status(client.say(GET)) == 200
    assert client.transport.aborted


def test_no_start_response_is_the_applications_error() -> None:
    assert status(client_says(lambda *_: [b"x"], GET)) == 500


def test_start_response_within_a_generator() -> None:
    def app(_: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        yield b"ab"

    assert client_says(app, GET).endswith(b"Content-Length: 2\r\n\r\nab")


@pytest.mark.parametrize(
    "field",
    [
        ("X", "a\r\nSet-Cookie: b"),
        ("X", "a\nb"),
        ("X", "a\rb"),
        ("X", "a\0b"),
        ("X\r\nY", "a"),
        ("X Y", "a"),
        ("X:", "a"),
        ("", "a"),
        ("X", "\u20ac"),
        ("X", 5),
        ("X", b"a"),
        (b"X", "a"),
        "X: a",
        ("X",),
        ("Content-Length", "-1"),
        ("Content-Length", "x"),
    ],
    ids=str,
)
def test_splitting_a_response_is_refused(field: Any) -> None:
    client = Client(answering([b"x"], field))

    heard = client.say(GET)

    assert status(heard) == 500
    assert b"Set-Cookie" not in heard


@pytest.mark.parametrize(
    "line", ["200 OK\r\nX: y", "200", "OK", "99 x", "200 \x01", "2000 x", 200, b"200 OK", "100 x", "101 x"]
)
def test_a_status_that_cannot_be_sent_is_refused(line: Any) -> None:
    assert status(client_says(answering([b"x"], status=line), GET)) == 500


@pytest.mark.parametrize("piece", ["text", None, 5, bytearray(b"x")])
def test_a_piece_that_is_not_bytes_is_refused(piece: Any) -> None:
    assert status(client_says(answering([piece]), GET)) == 500


def test_a_piece_may_be_of_a_class_made_from_bytes() -> None:
    class Safe(bytes):
        pass

    for result in ([Safe(b"abc")], iter([Safe(b"abc")])):
        assert b"abc" in client_says(answering(result), GET)


def test_fields_of_the_connection_are_ours() -> None:
    fields = (("Connection", "keep-alive"), ("Transfer-Encoding", "chunked"), ("Upgrade", "x"), ("Keep-Alive", "9"))

    heard = client_says(answering([b"x"], *fields), GET)

    assert heard == (b"HTTP/1.1 200 OK\r\nServer: forkful\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx")


def test_an_application_may_close_the_connection() -> None:
    client = Client(answering([b"x"], ("Connection", "close")))

    assert b"Connection: close" in client.say(GET)
    assert client.transport.closed


def test_an_applications_own_date_and_server_are_kept() -> None:
    heard = client_says(answering([b"x"], ("Server", "mine"), ("X-Date", "x")), GET)

    assert b"Server: mine" in heard
    assert b"forkful" not in heard


def test_write_comes_before_what_is_returned() -> None:
    def app(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Length", "6")])
        write(b"ab")
        write(b"cd")
        return [b"ef"]

    client = Client(app)
    assert client.say(GET).endswith(b"\r\n\r\nabcdef")


def test_the_validator_of_the_standard_library_has_nothing_to_say() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"].read(3)
        environ["wsgi.input"].readline(5)
        environ["wsgi.input"].readlines(5)
        assert list(environ["wsgi.input"]) is not None
        environ["wsgi.errors"].write("")
        environ["wsgi.errors"].flush()
        start_response("200 OK", TEXT)
        return [b"fine"]

    for request in (GET, GET10, b"POST /a%20b?c HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab\ncd\nef\n"):
        assert status(client_says(cast("App", validator(cast("Any", app))), request)) == 200


def test_what_an_environ_says() -> None:
    seen: Environ = {}

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.update(environ, body=environ["wsgi.input"].read())
        start_response("200 OK", TEXT)
        return [b""]

    client_says(
        app,
        b"POST /a%2Fb/%E4?x=%20 HTTP/1.1\r\nHost: h:1\r\ncontent-TYPE: t\r\nX-A: 1\r\nx-a: 2\r\nCookie: a=b\r\n"
        b"cookie: c=d\r\nX_A: spoofed\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    )

    wanted = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a/b/\xe4",
        "QUERY_STRING": "x=%20",
        "RAW_URI": "/a%2Fb/%E4?x=%20",
        "CONTENT_TYPE": "t",
        "CONTENT_LENGTH": "2",
        "HTTP_HOST": "h:1",
        "HTTP_X_A": "1,2",
        "HTTP_COOKIE": "a=b; c=d",
        "SERVER_NAME": "server.test",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "4711",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "body": b"ab",
    }
    assert {key: seen.get(key) for key in wanted} == wanted
    assert "HTTP_TRANSFER_ENCODING" not in seen


def test_an_environ_is_nobody_elses() -> None:
    seen = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append("left" in environ or environ["PATH_INFO"])
        environ["left"] = environ["HTTP_HOST"] = environ["REMOTE_ADDR"] = "behind"
        start_response("200 OK", TEXT)
        return [b""]

    client_says(app, *(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(4)))

    assert seen == ["/0", "/1", "/2", "/3"]


def test_fields_that_repeat_to_the_byte_are_not_mixed_up_with_others() -> None:
    client = Client(lambda environ, start: (start("200 OK", []), [environ.get("HTTP_X", "-").encode()])[1])

    def said(*fields: bytes) -> bytes:
        return client.say(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(fields) + b"\r\n")[-1:]

    rounds = [said(b"X: 1\r\n"), said(b"X: 1\r\n"), said(b"X: 1\r\n"), said(b"X: 2\r\n"), said(), said(b"X: 1\r\n")]
    assert rounds == [b"1", b"1", b"1", b"2", b"-", b"1"]
    assert client.say(b"POST / HTTP/1.1\r\nHost: a\r\nX: 3\r\nContent-Length: 1\r\n\r\nx")[-1:] == b"3"
    assert said() == b"-"
