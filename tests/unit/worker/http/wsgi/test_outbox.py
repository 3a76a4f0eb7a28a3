"""Answers that wait for clients who are slow to read: a bound for each, and one for all of a process."""

from collections.abc import Callable, Iterable, Iterator

import pytest

from forkful.handlers.wsgi import Environ, StartResponse
from forkful.worker.http.wsgi.outbox import AHEAD, LEAST
from tests.unit.worker.http.wire import Client

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PIECE = b"x" * 65_536
MANY = 100

Made = Callable[[], Iterable[bytes]]


def pieces() -> Iterator[bytes]:
    for _ in range(MANY):
        yield PIECE


def whole() -> list[bytes]:
    return [PIECE * MANY]


def serving(make: Made) -> Client:
    def app(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return make()

    return Client(app, slow=True)


def most_held(client: Client) -> list[int]:
    """What was held each time that the thread waited; then the client has read."""
    held: list[int] = []

    def waits() -> None:
        client.thread.flush()
        held.append(client.service.answers.held)
        client.transport.out.clear()

    client.before_waiting = waits
    client.connection.data_received(GET)
    client.settle()
    return held


def test_so_much_of_an_answer_waits_and_then_its_thread_does() -> None:
    client = serving(pieces)
    held = most_held(client)

    assert len(held) > 3
    assert max(held) <= AHEAD + 2 * len(PIECE)


def test_an_answer_in_one_piece_keeps_no_thread() -> None:
    client = serving(whole)

    assert most_held(client) == []
    assert client.service.answers.held >= MANY * len(PIECE)


@pytest.mark.parametrize("make", [pieces, whole])
def test_threads_wait_sooner_where_the_process_holds_too_much(make: Made) -> None:
    client = serving(make)
    others = client.service.answers.limit + 1
    client.service.answers.hold(others)
    held = [all_of_us - others for all_of_us in most_held(client)]

    assert held
    if make is pieces:
        assert max(held) <= LEAST + 2 * len(PIECE)


@pytest.mark.parametrize("leaves", [False, True])
def test_what_was_read_or_given_up_is_not_held_any_more(leaves: bool) -> None:  # a case
    client = serving(whole)
    most_held(client)

    if leaves:
        client.leave()
    else:
        client.transport.out.clear()
        client.transport.drained()
    assert client.service.answers.held == 0


def test_who_waits_goes_on_once_others_have_read() -> None:
    client = serving(pieces)
    others = client.service.answers.limit + 1
    client.service.answers.hold(others)
    told: list[bool] = []

    def others_read() -> None:
        client.thread.flush()
        (exchange,) = client.service.waiting
        room = exchange._outbox._room  # type: ignore[union-attr]  # noqa: SLF001  # where it waits
        told.append(room.told)  # type: ignore[union-attr]  # as above
        client.service.answers.hold(-others)
        told.append(room.told)  # type: ignore[union-attr]  # as above
        client.before_waiting = lambda: None

    client.before_waiting = others_read
    client.connection.data_received(GET)
    client.settle()
    assert told == [False, True]
