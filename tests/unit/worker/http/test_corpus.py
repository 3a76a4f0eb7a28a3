"""The corpus: each request whole, in pieces, and pipelined behind a good one means the same."""

import pytest

from tests.unit.worker.http.corpus import BAD, CASES, GOOD, Case, get
from tests.unit.worker.http.wire import Client, statuses

FIRST = get(b"GET /first HTTP/1.1")
NEXT = get(b"GET /next HTTP/1.1")


def check(case: Case, heard: bytes, client: Client) -> None:
    heard = heard.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    if isinstance(case.want, int):
        assert statuses(heard) == [case.want]
        assert client.transport.over, "what cannot be understood is not gone on with"
        return
    assert statuses(heard)[0] == 200
    assert heard.split(b"\r\n\r\n", 1)[1].startswith(case.want)
    assert client.transport.over is not case.kept


def test_there_are_enough() -> None:
    assert len(GOOD) + len(BAD) >= 150
    assert len({case.what for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_means_the_same_in_whatever_pieces_it_arrives(case: Case) -> None:
    raw = case.raw
    client = Client()
    check(case, client.say(raw), client)

    client = Client()
    check(case, client.say(*(raw[n : n + 1] for n in range(len(raw)))), client)

    for at in range(1, len(raw) if len(raw) < 400 else 0):
        client = Client()
        check(case, client.say(raw[:at], raw[at:]), client)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_means_the_same_behind_a_good_one_and_before_another(case: Case) -> None:
    client = Client()

    heard = client.say(FIRST + case.raw)

    end = heard.index(b"GET /first  ") + len(b"GET /first  ")
    assert statuses(heard[:end]) == [200]
    check(case, heard[end:], client)

    client = Client()
    served = b"GET /next" in client.say(case.raw + NEXT, NEXT)
    assert served is (isinstance(case.want, bytes) and case.kept), "a bad request is the last, a good one is not"


@pytest.mark.parametrize("case", [case for case in GOOD if case.kept], ids=lambda case: case.what)
def test_means_the_same_again_and_again(case: Case) -> None:
    client = Client()

    for _ in range(4):  # fields that repeat take a shorter way
        check(case, client.say(case.raw), client)
