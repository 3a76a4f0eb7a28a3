"""WSGI with clients that send much, read slowly or leave; and what is counted."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from time import monotonic_ns

import pytest

from forkful.handlers.wsgi import Environ, StartResponse
from forkful.worker.http.access_log import Access
from forkful.worker.http.limits import Limits
from forkful.worker.ipc.scoreboard import BUCKETS, BUSY, REFUSED, RESET, SINCE, STARTED
from tests.unit.worker.http.test_access_log import Lines
from tests.unit.worker.http.wire import Client, statuses
from tests.unit.worker.http.wsgi.test_exchange import GET, TEXT, Closable, answering, client_says


@pytest.fixture
def nothing_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread waits for the client after each piece."""
    monkeypatch.setattr("forkful.worker.http.wsgi.outbox.AHEAD", 0)


@pytest.mark.usefixtures("nothing_ahead")
def test_a_client_that_does_not_read_makes_the_iterator_wait() -> None:
    taken: list[int] = []
    when = []

    def pieces() -> Iterator[bytes]:
        for number in range(5):
            taken.append(number)
            yield b"x"

    client = Client(answering(pieces()), slow=True)
    client.before_waiting = lambda: when.append((len(taken), client.row[SINCE]))
    client.say(GET)
    while client.connection.stalled:
        client.transport.drained()

    assert when == [(n, 0) for n in (1, 2, 3, 4, 5, 5)], "waiting for a client is no work"
    assert sum(client.row[BUCKETS:63]) == 1


def test_a_pipeline_waits_for_a_client_that_does_not_read() -> None:
    client = Client(slow=True)

    assert len(statuses(client.say(GET * 3))) == 1
    client.transport.drained()
    client.settle()
    assert len(statuses(client.heard())) == 1


def test_a_pipeline_is_not_read_beyond_what_is_worked_on() -> None:
    client = Client(answering(Closable(b"a", b"b")), slow=True)

    client.say(GET, GET * 10_000)

    assert client.transport.paused


@pytest.mark.usefixtures("nothing_ahead")
def test_a_client_that_leaves_while_an_answer_waits_closes_it() -> None:
    result = Closable(b"a", b"b", b"c")
    client = Client(answering(result), slow=True)
    client.before_waiting = client.leave
    client.say(GET)

    assert result.closed == 1
    assert client.row[RESET] == 1
    assert client.row[STARTED] == sum(client.row[BUCKETS:63]) == 1


def test_a_client_that_leaves_before_its_answer_is_logged_with_a_status_of_its_own() -> None:
    def app(_: Environ, __: StartResponse) -> Iterable[bytes]:
        client.leave()  # with threads, this can be
        raise ConnectionResetError

    lines = Lines()
    client = Client(app, access=Access(lines, "%(s)s"))
    client.say(GET)

    assert lines.lines == ["499"]
    assert client.row[RESET] == 1


@pytest.mark.usefixtures("nothing_ahead")
def test_what_still_waits_for_a_client_when_the_time_is_up_is_cut_off() -> None:
    client = Client(answering(Closable(b"a", b"b")), slow=True)
    client.before_waiting = lambda: asyncio.run(client.service.close())
    client.say(GET)

    assert client.transport.aborted


def test_a_client_that_leaves_within_its_body_is_no_request() -> None:
    client = Client()
    client.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab")

    client.leave()

    assert client.row[STARTED] == 0


@pytest.mark.usefixtures("nothing_ahead")
def test_a_half_closed_connection_still_gets_its_answer() -> None:
    client = Client(answering(Closable(b"a", b"b")), slow=True)
    on = []
    client.before_waiting = lambda: on.append(client.connection.eof_received())
    heard = client.say(GET)

    assert on
    assert all(on)
    while client.connection.stalled:
        client.transport.drained()
    assert heard.endswith(b"0\r\n\r\n")
    assert client.transport.closed


def test_a_pipeline_lets_others_have_their_turn_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forkful.worker.http.http1.TURN", -1)
    client = Client()
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"

    client.connection.data_received(GET + post * 2 + GET * 3000)
    assert client.connection.overdue(1 << 62) == 0, "it is not idle"
    assert client.connection.eof_received() is True, "it has no more to say, and is still answered"

    answered = 0
    while client.thread.turn() or client.loop.soon:
        client.loop.turn()
        answered += (one := len(statuses(client.heard())))
        assert one <= 1
    assert answered == 3003
    assert client.transport.closed


def test_requests_are_counted() -> None:
    client = Client()

    client.say(GET * 5, b"nonsense\r\n\r\n")

    assert client.row[STARTED] == sum(client.row[BUCKETS:63]) == 6
    assert client.row[REFUSED] == 1
    assert client.row[SINCE] == 0
    assert client.row[BUSY] > 0


def test_draining_says_goodbye_with_the_next_answer() -> None:
    client = Client()
    client.say(GET)
    client.service.drain()

    assert not client.transport.over, "an idle connection is given a moment"
    assert b"Connection: close" in client.say(GET)
    assert client.transport.closed


@pytest.mark.parametrize("asked", [True, False])
def test_an_idle_connection_is_closed_soon_after_the_worker_was_told_to_leave(asked: bool) -> None:
    client = Client(limits=Limits(keep_alive=75, header_timeout=75))
    if asked:
        client.say(GET)
    client.service.drain()

    due = client.connection.overdue(monotonic_ns())
    assert 0 < due - monotonic_ns() < 1_100_000_000
    client.connection.overdue(due)
    assert client.transport.closed


def test_a_refused_request_is_logged_as_what_it_was() -> None:
    lines = Lines()
    client = Client(access=Access(lines, '%(h)s "%(r)s" %(s)s %(a)s'))
    client.say(b"HEAD /first HTTP/1.1\r\nHost: a\r\nUser-Agent: one\r\n\r\n")

    heard = client.say(b"GET /second HTTP/1.1\r\nUser-Agent: two\r\n\r\n")

    assert lines.lines == ['192.0.2.7 "HEAD /first HTTP/1.1" 200 one', '192.0.2.7 "GET /second HTTP/1.1" 400 two']
    assert heard.endswith(b"400 Bad Request\n"), "a body, whatever the request before was"


def test_a_generator_that_yields_nothing_learns_that_its_client_left() -> None:
    turns = 0

    def pieces() -> Iterator[bytes]:
        nonlocal turns
        while turns < 100:
            turns += 1
            if turns == 10:
                client.leave()
            yield b""

    client = Client(answering(pieces()))
    client.say(GET)

    assert turns == 10
    assert client.row[RESET] == 1


def test_what_is_longer_than_it_said_is_cut_and_not_run_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    turns = []

    def pieces() -> Iterator[bytes]:
        for number in range(100):
            turns.append(number)
            yield b"ab"

    client = Client(answering(pieces(), ("Content-Length", "3")))
    heard = client.say(GET, GET)

    assert len(turns) == 2
    assert heard.count(b"\r\n\r\naba") == 1
    assert "is longer than its Content-Length" in caplog.text
    assert "192.0.2.7" in caplog.text


def test_errors_of_the_application_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        print("one\ntwo", file=environ["wsgi.errors"])
        start_response("200 OK", TEXT)
        return [b""]

    with caplog.at_level(logging.ERROR):
        client_says(app, GET)

    assert [record.message for record in caplog.records] == ["one", "two"]


def test_connections_that_begin_alike_are_not_mixed_up() -> None:
    seen = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        said = [environ[key] for key in ("REMOTE_ADDR", "REMOTE_PORT", "PATH_INFO")]
        seen.append((*said, environ.get("HTTP_X"), "left" in environ))
        environ["left"] = "behind"
        start_response("200 OK", TEXT)
        return [b"fine"]

    client = Client(app)
    for number in range(5):
        for close in (b"", b"Connection: close\r\n"):
            for fields in (b"", b"X: 1\r\n"):
                client.connect((f"192.0.2.{number}", number))
                heard = client.say(b"GET /%d HTTP/1.1\r\nHost: a\r\n" % number + close + fields + b"\r\n")
                assert client.transport.closed is bool(close)
                assert (b"Connection: close" in heard) is bool(close)
                client.leave()

    wanted = [(f"192.0.2.{n}", str(n), f"/{n}", x, False) for n in range(5) for _ in range(2) for x in (None, "1")]
    assert seen == wanted


def test_connections_that_begin_alike_behind_a_proxy_have_each_its_own_client() -> None:
    seen = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ["REMOTE_ADDR"])
        start_response("200 OK", TEXT)
        return [b""]

    client = Client(app, trust="10.0.0.1")
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
    for address in ("10.0.0.1", "192.0.2.1") * 4:
        client.connect((address, 1))
        client.say(request)
        client.leave()

    assert seen == ["6.6.6.6", "192.0.2.1"] * 4


def test_fields_that_repeat_behind_an_absolute_target_are_those_of_the_last_request() -> None:
    seen = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append((environ["HTTP_HOST"], environ["HTTP_COOKIE"]))
        start_response("200 OK", TEXT)
        return [b""]

    fields = b" HTTP/1.1\r\nHost: %b\r\nCookie: %b\r\n\r\n"
    client = Client(app)
    for target, who in ((b"/", b"a"), (b"/", b"a"), (b"http://b/", b"b"), (b"/", b"b"), (b"/", b"a")):
        client.say(b"GET " + target + fields % (who, who))

    assert seen == [("a", "a"), ("a", "a"), ("b", "b"), ("b", "b"), ("a", "a")]


def test_a_client_that_goes_from_1_0_to_1_1_is_believed() -> None:
    client = Client(answering([b"a", b"b"], ("Content-Length", "2")))
    for number in range(3):
        client.connect(("192.0.2.1", number))
        client.say(GET)

    client.say(b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx")

    assert b"Connection" not in client.say(GET)
