"""An event's words are those of `str.format`, without what that leaves in memory."""

from collections.abc import Iterator

import pytest

from forkful.master.model import user_events
from forkful.master.model.events import Event, Noted, ReloadFailed, ReloadStarted, WorkerDied, WorkerReady
from forkful.master.model.fleet import Reason, Worker
from forkful.master.model.wording import _pieces, in_words

WORKER = Worker(1, "main", 3, 2, pid=812)
EVENTS = [
    Noted("log files are {reopened}"),
    ReloadStarted("reload", 2, 1),
    ReloadFailed("no {handler}", "Traceback\n"),
    WorkerReady(WORKER, 1.2345),
    WorkerDied(WORKER, Reason.BOOT_FAILED, "exit code 4", "; 3 requests"),
]


def kinds(of: type[Event] = Event) -> Iterator[type[Event]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_words_are_those_of_str_format(event: Event) -> None:
    assert in_words(event) == event.TEXT.format(e=event)


def test_every_event_has_words_that_can_be_filled_in() -> None:
    assert user_events.CommandEnded in [*kinds()]
    for kind in kinds():
        assert _pieces(kind.TEXT) or not kind.TEXT
