"""Clients that take their time: each phase has its deadline, and nothing else does."""

from time import monotonic_ns

import pytest

from forkful.worker.http.limits import Limits
from forkful.worker.http.wire import BODY, BUSY, IDLE, LINGER, Phase
from forkful.worker.ipc.scoreboard import TIMEOUT
from tests.unit.worker.http.wire import Client, status, statuses

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"


def later(seconds: float) -> int:
    return monotonic_ns() + int(seconds * 1e9)


@pytest.mark.parametrize(
    ("pieces", "patience", "answer"),
    [
        ([], 20, []),
        ([b"GET /"], 20, [408]),
        ([GET, b"GET / HT"], 20, [200, 408]),
        ([GET], 2, [200]),
        ([POST], 20, [408]),
        ([POST + bytes(5000)], 30, [408]),
        ([b"nonsense\r\n\r\n"], 2, [400]),
    ],
)
def test_a_client_has_so_many_seconds(pieces: list[bytes], patience: float, answer: list[int]) -> None:
    client = Client()
    client.say(*pieces[:-1])
    heard = client.heard() if not pieces else client.say(pieces[-1])

    due = client.connection.overdue(later(patience - 1))
    assert not client.transport.closed
    assert abs(due - later(patience)) < 1e9

    client.connection.overdue(later(patience + 1))
    assert client.transport.over
    whole = b"" if not pieces else heard
    assert statuses(whole + client.heard())[-1:] == answer[-1:]


def test_a_slow_head_counts_as_a_timeout() -> None:
    client = Client()
    client.say(b"GET")

    client.connection.overdue(later(21))

    assert client.row[TIMEOUT] == 1


def test_deadlines_may_be_off() -> None:
    client = Client(limits=Limits(header_timeout=0, body_timeout=0))
    client.say(b"GET")
    assert client.connection.overdue(later(9999)) == 0


@pytest.mark.parametrize("phase", [IDLE, BODY, BUSY, LINGER])
def test_a_client_that_takes_nothing_is_given_up(phase: Phase) -> None:
    client = Client(slow=True, limits=Limits(body_timeout=0))
    client.connection.data_received(GET)
    client.settle()
    client.connection.phase = phase

    client.connection.overdue(later(0))
    client.connection.overdue(later(59))
    assert not client.transport.aborted
    del client.transport.out[:10]
    client.connection.overdue(later(61))
    assert not client.transport.aborted
    client.connection.overdue(later(122))
    assert client.transport.aborted


def test_what_we_write_is_nothing_that_the_client_takes() -> None:
    client = Client(slow=True)
    client.connection.data_received(GET)
    client.settle()
    client.connection.phase = BUSY

    for second in range(0, 61, 10):
        assert not client.transport.aborted
        client.connection.write(b"more")
        client.connection.overdue(later(second))
    assert client.transport.aborted


def test_a_client_may_have_any_time_to_read() -> None:
    client = Client(slow=True, limits=Limits(write_timeout=0))
    client.connection.data_received(GET)
    client.settle()

    for phase in (IDLE, BUSY, LINGER):
        client.connection.phase = phase
        assert client.connection.overdue(later(9999)) == 0
    assert not client.transport.closed


def test_a_connection_is_idle_from_when_its_answer_is_taken() -> None:
    client = Client(slow=True)
    client.connection.data_received(GET)
    client.settle()
    client.connection.since -= int(30e9)

    client.connection.overdue(later(0))
    assert not client.transport.closed
    client.transport.drained()
    client.connection.overdue(later(1))
    assert not client.transport.closed
    client.connection.overdue(later(3))
    assert client.transport.closed


def test_what_comes_after_an_early_answer_is_read_and_dropped_to_a_limit() -> None:
    client = Client()
    client.say(b"nonsense\r\n\r\n")
    assert client.transport.ended
    assert not client.transport.closed

    for _ in range(20):
        client.connection.data_received(bytes(100_000))

    assert client.transport.aborted


def test_a_body_that_was_refused_is_read_to_its_end_so_that_the_client_sees_why() -> None:
    client = Client(limits=Limits(body=10))
    assert status(client.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")) == 413

    for second in range(1, 29):
        client.connection.data_received(bytes(10_000_000))
        assert client.connection.overdue(monotonic_ns()) > monotonic_ns()
        assert not client.transport.aborted, second
    client.connection.overdue(later(2))
    assert client.transport.aborted


def test_a_body_that_was_refused_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = later(0)

    def turn(seconds: float) -> int:
        """Stop the connection's clock so long after the refusal: this process may be held up at any time."""
        now = refused + int(seconds * 1e9)
        monkeypatch.setattr("forkful.worker.http.http1.monotonic_ns", lambda: now)
        return now

    turn(0)
    client = Client(limits=Limits(body=10))
    client.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")

    turn(29.5)
    client.connection.data_received(b"x")
    client.connection.overdue(turn(29.9))
    assert not client.transport.aborted
    client.connection.overdue(turn(30.1))
    assert client.transport.aborted


def test_without_keep_alive_each_answer_is_the_last() -> None:
    client = Client(limits=Limits(keep_alive=0))

    assert b"Connection: close" in client.say(GET)
    assert client.transport.closed
