"""What a worker leaves to the next one: when it may, and when it is known."""

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from forkful.handlers import BEQUEST_MAX, bequeath, inherited
from forkful.handlers.farewell import draining
from forkful.handlers.inheritance import Inheritance


class Worker:
    """One that has a master: what it sent there, and how often it asked."""

    def __init__(self) -> None:
        self.left: list[bytes] = []
        self.asked = 0
        self.inheritance = Inheritance()
        self.inheritance.by(self.left.append, self.ask)

    def ask(self) -> None:
        self.asked += 1


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def drains() -> Iterator[None]:
    draining().begin()
    yield
    draining().reset()


def test_outside_of_a_worker_nothing_is_left_and_nothing_inherited() -> None:
    bequeath(b"state")
    assert inherited() == b""


@pytest.mark.usefixtures("drains")
def test_what_is_bequeathed_goes_out_once(worker: Worker) -> None:
    worker.inheritance.leave(bytearray(b"state"))
    with pytest.raises(RuntimeError, match="already"):
        worker.inheritance.leave(b"more")
    assert worker.left == [b"state"]


def test_before_it_drains_nothing_can_be_bequeathed(worker: Worker) -> None:
    with pytest.raises(RuntimeError, match="does not drain yet"):
        worker.inheritance.leave(b"state")
    assert worker.left == []


def test_a_function_that_gives_it_is_called_at_the_end(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    state = bytearray(b"early")
    worker.inheritance.leave(lambda: state)
    worker.inheritance.anew()  # the fork
    worker.inheritance.by(worker.left.append, worker.ask)
    worker.inheritance.finish()
    assert worker.left == [], "it ends for another reason, and nobody comes after it"
    draining().begin()
    try:
        state[:] = b"late"
        worker.inheritance.finish()
        worker.inheritance.finish()
        assert worker.left == [b"late"]
        other = Worker()
        other.inheritance.leave(lambda: bytes(BEQUEST_MAX + 1))
        other.inheritance.finish()
    finally:
        draining().reset()
    assert "nothing is bequeathed" in caplog.text
    assert other.left == []


@pytest.mark.usefixtures("drains")
def test_more_than_there_may_be_is_refused_and_the_rest_of_the_chance_kept(worker: Worker) -> None:
    with pytest.raises(ValueError, match=f"{BEQUEST_MAX + 1} bytes are too many"):
        worker.inheritance.leave(bytes(BEQUEST_MAX + 1))
    with pytest.raises(TypeError):
        worker.inheritance.leave("text")  # type: ignore[arg-type]  # the mistake itself
    worker.inheritance.leave(bytes(BEQUEST_MAX))
    assert [len(left) for left in worker.left] == [BEQUEST_MAX]


def test_before_it_serves_nobody_can_know_what_is_inherited(worker: Worker) -> None:
    with pytest.raises(RuntimeError, match="when_inherited"):
        worker.inheritance.wait(None)
    assert worker.asked == 0


def test_who_asks_waits_until_it_is_known(worker: Worker) -> None:
    worker.inheritance.begin()
    assert worker.asked == 0, "nobody wants to know"
    found: list[bytes] = []
    asking = threading.Thread(target=lambda: found.append(worker.inheritance.wait(None)))
    asking.start()
    worker.inheritance.came(b"state")
    asking.join(10)
    assert found == [b"state"]
    assert worker.inheritance.wait(0) == b"state"


def test_patience_with_the_worker_before_has_an_end(worker: Worker) -> None:
    worker.inheritance.begin()
    with pytest.raises(TimeoutError, match="neither left anything nor gone"):
        worker.inheritance.wait(0)
    assert worker.asked == 1


def test_an_event_loop_is_not_blocked_by_it(worker: Worker) -> None:
    async def ask() -> bytes:
        return worker.inheritance.wait(None)

    worker.inheritance.begin()
    with pytest.raises(RuntimeError, match="would block this event loop"):
        asyncio.run(ask())
    worker.inheritance.came(b"state")
    assert asyncio.run(ask()) == b"state"


def test_callbacks_of_the_import_are_called_in_each_worker(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[bytes] = []
    worker.inheritance.call(lambda _: 1 / 0)
    worker.inheritance.call(heard.append)
    worker.inheritance.anew()  # the fork
    worker.inheritance.by(worker.left.append, worker.ask)
    assert worker.asked == 0
    worker.inheritance.begin()
    assert worker.asked == 1
    with caplog.at_level(logging.ERROR):
        worker.inheritance.came(b"state")
    worker.inheritance.call(heard.append)
    assert heard == [b"state", b"state"]
    assert caplog.text.count("ZeroDivisionError") == 1
