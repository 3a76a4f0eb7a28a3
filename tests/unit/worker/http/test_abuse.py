"""What an attacker tries at any door: limits at their very borders, endless pipelines, tiny chunks, split answers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from time import monotonic_ns
from typing import Any

import pytest

from forkful.handlers.asgi import Message, Receive, Scope, Send
from forkful.worker.http import http1
from forkful.worker.http.limits import Limits
from forkful.worker.ipc.scoreboard import RESET, STARTED, TIMEOUT
from tests.unit.worker.http.asgi.test_websocket import FIELDS
from tests.unit.worker.http.corpus import chunked, get, post
from tests.unit.worker.http.doors import AsgiDoor, Spoken, WsgiDoor
from tests.unit.worker.http.judge import SMALL, flood
from tests.unit.worker.http.wire import statuses

Make = Callable[..., Spoken]
DOORS = [WsgiDoor, AsgiDoor]


@pytest.fixture(params=DOORS, ids=lambda door: door.__name__)
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    with ExitStack() as stack:

        def make(**options: Any) -> Spoken:
            door: Spoken = request.param(**options)
            if isinstance(door, AsgiDoor):
                stack.enter_context(door)
            door.connect()
            return door

        yield make


def said(door: Spoken, *pieces: bytes) -> list[int]:
    for piece in pieces:
        if not door.transport.over:
            door.hear(piece)
            door.settle()
    return statuses(bytes(door.transport.out))


def around(raw: bytes, at: int) -> list[bytes]:
    """In pieces that end at and around a place."""
    cuts = [0, *range(max(1, at - 4), min(len(raw), at + 5)), len(raw)]
    return [raw[a:b] for a, b in pairwise(cuts)]


LINE, FIELDS_, SIZE, BODY = 4094, 100, 8190, 1000
LIMITS = Limits(body=BODY, head=900_000)


@pytest.mark.parametrize(
    ("raw", "at", "status"),
    [
        (get(b"GET /" + b"a" * (LINE - 14) + b" HTTP/1.1"), LINE, 200),
        (get(b"GET /" + b"a" * (LINE - 13) + b" HTTP/1.1"), LINE, 414),
        (get(b"GET / HTTP/1.1", *[b"a:"] * (FIELDS_ - 1)), 16 + 9 + 4 * (FIELDS_ - 1), 200),
        (get(b"GET / HTTP/1.1", *[b"a:"] * FIELDS_), 16 + 9 + 4 * (FIELDS_ - 1), 431),
        (get(b"GET / HTTP/1.1", b"a:" + b"b" * (SIZE - 2)), 16 + 9 + SIZE, 200),
        (get(b"GET / HTTP/1.1", b"a:" + b"b" * (SIZE - 1)), 16 + 9 + SIZE, 431),
        (get(b"GET / HTTP/1.1", *[b"a:" + b"b" * (SIZE - 2)] * (FIELDS_ - 1)), 800_000, 200),
        (get(b"GET / HTTP/1.1", *[b"a:" + b"b" * (SIZE - 2)] * FIELDS_), 800_000, 431),
        (post(b"Content-Length: %d\r\n" % BODY, bytes(BODY)), 60 + BODY, 200),
        (post(b"Content-Length: %d\r\n" % (BODY + 1), bytes(BODY + 1)), 60 + BODY, 413),
        (chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (BODY, bytes(BODY))), 60 + BODY, 200),
        (chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (BODY + 1, bytes(BODY + 1))), 60 + BODY, 413),
        (chunked(b"1\r\na\r\n" * BODY + b"0\r\n\r\n"), 60 + 6 * BODY, 200),
        (chunked(b"1\r\na\r\n" * (BODY + 1) + b"0\r\n\r\n"), 60 + 6 * BODY, 413),
    ],
    ids=lambda what: repr(what)[:1] if isinstance(what, bytes) else str(what),
)
def test_a_limit_is_where_it_is_said_to_be(raw: bytes, at: int, status: int, make: Make) -> None:
    for pieces in ([raw], around(raw, at), [get(), raw]):
        assert said(make(limits=LIMITS), *pieces)[-1:] == [status]


@pytest.mark.parametrize(("size", "status"), [(65_536, 200), (65_537, 431)], ids=["at the limit", "beyond it"])
def test_all_lines_of_a_head_together_have_a_limit(size: int, status: int, make: Make) -> None:
    fields = [b"a:" + b"b" * 6000] * 10
    short = len(get(b"GET / HTTP/1.1", *fields, b"c:"))
    raw = get(b"GET / HTTP/1.1", *fields, b"c:" + b"d" * (size - short))
    assert len(raw) == size

    for pieces in ([raw], around(raw, size), [raw[at : at + 1000] for at in range(0, size, 1000)]):
        assert said(make(), *pieces)[-1:] == [status]


def test_a_head_without_an_end_is_refused_at_the_limit_and_not_kept(make: Make) -> None:
    door = make()

    assert said(door, b"GET / HTTP/1.1\r\nHost: a\r\n", *[b"a:" + b"b" * 6000 + b"\r\n"] * 200) == [431]


@pytest.mark.parametrize("digits", [b"0" * 5000 + b"1", b"1" * 5000, b"9" * 25])
def test_lengths_with_thousands_of_digits_are_refused(digits: bytes, make: Make) -> None:
    assert said(make(), post(b"Content-Length: " + digits + b"\r\n", b"a")) == [400]
    assert said(make(), chunked(digits + b"\r\na\r\n0\r\n\r\n"))[-1:] == [400]


def test_thousands_of_requests_at_once_are_answered_in_their_order(make: Make) -> None:
    count = 5000
    door = make()

    assert said(door, b"".join(get(b"GET /%d HTTP/1.1" % n) for n in range(count))) == [200] * count
    assert [seen.target for seen in door.seen] == [f"/{n}" for n in range(count)]


def test_who_asked_for_thousands_and_has_no_more_to_say_is_answered(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "TURN", -1)
    door = make()

    door.hear(get() * 1000)
    if door.connection.eof_received():
        door.settle()

    assert said(door) == [200] * 1000
    assert door.transport.over


def test_a_bad_request_behind_thousands_is_the_last_thing_that_is_answered(make: Make) -> None:
    assert said(make(), get() * 2000 + b"GET / HTTP/1.1\nHost: a\r\n\r\n" + get() * 2000) == [200] * 2000 + [400]


def test_a_hundred_thousand_tiny_chunks_are_one_body(make: Make) -> None:
    door = make()

    assert said(door, chunked(b"2\r\nab\r\n" * 100_000 + b"0\r\n\r\n")) == [200]
    assert door.seen[0].body == b"ab" * 100_000


def test_tiny_chunks_that_nobody_takes_yet_cost_what_is_in_them(make: Make) -> None:
    assert not [*flood(make(slow=True, limits=SMALL), chunked(b""), b"2\r\nab\r\n")]


def test_a_chunk_of_many_terabytes_takes_no_memory_before_it_comes(make: Make) -> None:
    door = make(limits=Limits())

    assert said(door, chunked(b"fffffffffffffff\r\nabc")) == []
    assert not door.seen
    assert not door.transport.over


def test_what_follows_a_websocket_handshake_with_a_body_never_passes_for_frames(make: Make) -> None:
    door = make()
    body = b"\x81\x85\0\0\0\0hello"

    heard = said(door, FIELDS + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    assert heard == ([400] if isinstance(door, AsgiDoor) else [200])
    assert [seen.kind for seen in door.seen] == ["http"] * len(door.seen)


# -- what an application may not say ---------------------------------------------------------------------------------

SPLIT = [
    (b"X", b"a\r\nSet-Cookie: b"),
    (b"X", b"a\nSet-Cookie: b"),
    (b"X", b"a\rSet-Cookie: b"),
    (b"X", b"a\0"),
    (b"X\r\nSet-Cookie", b"b"),
    (b"X: y\r\nSet-Cookie", b"b"),
    (b"X y", b"b"),
    (b"", b"b"),
    (b"Content-Length", b"1\r\nSet-Cookie: b"),
    (b"Content-Length", b"-1"),
]


def answered(*messages: Message, asked: bytes = get()) -> bytes:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in messages:
            await send(message)

    with AsgiDoor(app) as door:
        said(door, asked, b"" if asked != get() else asked)
        return bytes(door.transport.out)


@pytest.mark.parametrize("field", [*SPLIT, (b"Content-Length", b"1,1")], ids=str)
def test_an_asgi_answer_cannot_be_split(field: tuple[bytes, bytes]) -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [field]}

    heard = answered(start, {"type": "http.response.body", "body": b"x"})

    assert statuses(heard) == [500]
    assert b"Set-Cookie" not in heard


@pytest.mark.parametrize("status", [100, 101, 103, 99, 0, -200, 1000, "200 OK\r\nX: y", None])
def test_an_asgi_answer_has_a_final_status(status: object) -> None:
    start = {"type": "http.response.start", "status": status, "headers": []}

    assert statuses(answered(start, {"type": "http.response.body", "body": b"x"})) == [500]


@pytest.mark.parametrize("field", SPLIT, ids=str)
def test_an_answer_to_a_handshake_cannot_be_split(field: tuple[bytes, bytes]) -> None:
    start = {"type": "websocket.http.response.start", "status": 403, "headers": [field]}
    body = {"type": "websocket.http.response.body", "body": b"x"}

    for messages in ((start, body), ({"type": "websocket.accept", "headers": [field]},)):
        heard = answered(*messages, asked=FIELDS + b"\r\n")
        assert b"Set-Cookie" not in heard
        assert statuses(heard) == [500]


@pytest.mark.parametrize("subprotocol", ["a\r\nSet-Cookie: b", "b", ""])
def test_a_handshake_has_only_the_protocol_that_was_asked_for(subprotocol: str) -> None:
    accept = {"type": "websocket.accept", "subprotocol": subprotocol}

    heard = answered(accept, asked=FIELDS + b"Sec-WebSocket-Protocol: a\r\n\r\n")

    assert statuses(heard) == [500]
    assert b"Set-Cookie" not in heard


def test_a_request_whose_body_is_refused_counts_once(make: Make) -> None:
    """Though its application was asked already."""
    door = make(limits=Limits())
    door.hear(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\nxx")
    door.settle()
    door.connection.overdue(monotonic_ns() + 10**12)
    door.settle()

    assert statuses(bytes(door.transport.out)) == [408]
    assert (door.row[STARTED], door.row[TIMEOUT], door.row[RESET]) == (1, 1, 0)


@pytest.mark.parametrize("piece", [2, 1000, 600_000])
def test_empty_lines_are_ignored_to_a_limit(make: Make, piece: int) -> None:
    door = make()
    request = get()
    assert said(door, b"\r\n" * 8 + request, b"\r\n" * 8 + request) == [200, 200]
    flood = b"\r\n" * 300_000
    began = monotonic_ns()
    for start in range(0, len(flood), piece):
        if not door.transport.over:
            door.hear(flood[start : start + piece])
    assert statuses(bytes(door.transport.out))[-1:] == [400]
    assert monotonic_ns() - began < 10**9
