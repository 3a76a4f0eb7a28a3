"""The books balance, whatever befalls the service: a short version of `python -m tests.bench chaos`."""

from pathlib import Path

import pytest

from tests.bench.chaos import KINDS, Books, run


@pytest.mark.parametrize("seed", [1, 2])
def test_every_request_is_counted_once_while_everything_happens_at_random(seed: int, tmp_path: Path) -> None:
    report = run(seed, 4.0, tmp_path)

    assert not report.complaints, str(report)
    assert all(report.books[kind].answered > 50 for kind in KINDS), str(report)
    assert report.events.total() > 1, str(report)  # on a busy machine few things happen in four seconds
    assert report.scrapes > 5


@pytest.mark.parametrize(
    ("books", "word"),
    [
        (Books(answered=10, counted=9, ok=9), "more than were counted"),
        (Books(answered=10, counted=11, ok=11), "more than were counted"),
        (Books(answered=10, counted=10, ok=9, lost=1), "kills"),
        (Books(answered=9, unanswered=1, counted=10, ok=10), "answered"),
        (Books(answered=10, counted=10, ok=10, wrong=1), "wrong"),
        (Books(answered=10, counted=10, ok=10, starts=5, exits=2, alive=2), "starts"),
    ],
)
def test_books_that_do_not_balance_are_complained_about(books: Books, word: str) -> None:
    assert any(word in complaint for complaint in books.complaints("tcp"))


def test_datagram_that_its_client_gave_up_may_be_answered_later() -> None:
    books = Books(answered=9, unanswered=1, given_up=1, counted=10, ok=10, kills=1, starts=3, exits=1, alive=2)
    assert list(books.complaints("udp")) == []


def test_books_that_balance_are_not() -> None:
    books = Books(answered=10, unanswered=1, counted=11, ok=9, lost=2, kills=2, starts=5, exits=3, alive=2)
    assert list(books.complaints("tcp")) == []
