"""The farewell: how handlers learn that their worker drains."""

import logging
import threading

import pytest

from forkful.handlers import Farewell, draining


def test_outside_of_a_worker_nothing_ever_drains() -> None:
    assert draining() is draining()
    assert not draining().is_set()
    assert not draining().wait(0)


def test_it_is_an_event_to_ask_and_to_wait_for() -> None:
    farewell = Farewell()
    waiting = threading.Thread(target=farewell.wait)
    waiting.start()
    farewell.begin()
    waiting.join(10)
    assert not waiting.is_alive()
    assert farewell.is_set()


def test_callbacks_are_called_once_even_if_one_fails_or_comes_late(caplog: pytest.LogCaptureFixture) -> None:
    farewell = Farewell()
    called: list[int] = []
    farewell.add_callback(lambda: called.append(1))
    farewell.add_callback(lambda: 1 / 0)
    farewell.add_callback(removed := lambda: called.append(9))
    farewell.remove_callback(removed)
    farewell.remove_callback(removed)
    with caplog.at_level(logging.ERROR, "forkful.worker"):
        farewell.begin()
        farewell.begin()
    farewell.add_callback(lambda: called.append(2))
    assert called == [1, 2]


def test_a_new_worker_starts_over_and_keeps_the_callbacks_of_the_import() -> None:
    farewell = Farewell()
    called: list[int] = []
    farewell.add_callback(lambda: called.append(1))
    farewell.reset()
    assert not farewell.is_set()
    farewell.begin()
    assert called == [1]
