"""The reaper hears a child out before it buries it, in whatever order the kernel tells of its words and its end."""

import os
from collections.abc import Iterator

import pytest

from forkful.master.model.fleet import Worker
from forkful.master.supervisor import reaper
from forkful.master.supervisor.state import State
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.messages import Failed, Hello
from forkful.worker.ipc.scoreboard import Scoreboard

PID, NOW = 4242, 100.0
EXIT_CODE_4 = 4 << 8  # as wait4(2) gives it
HELLO = Hello(PID)
FAILED = Failed("load", "there is no module 'chat'", "")


@pytest.fixture
def state() -> State:
    """A state with one worker that was asked for, whose pid nobody knows yet."""
    state = State(board=Scoreboard(), argv=[], version="1")
    row = state.board.allocate(1, pool=0, slot=0, generation=1)
    state.fleet[1] = Worker(1, "main", 0, 1, row=row)
    return state


@pytest.fixture
def worker(state: State) -> Iterator[Channel]:
    """The worker's end of its channel."""
    ours, theirs = Channel.pair()
    state.channels[1] = ours
    yield theirs
    ours.close()
    theirs.close()


def test_worker_that_was_reaped_before_it_was_known_still_says_why(state: State, worker: Channel) -> None:
    worker.send(HELLO)
    worker.send(FAILED)
    worker.close()
    state.strangers[PID] = (EXIT_CODE_4, 0.5)

    reaper.hear_worker(state, 1, NOW)

    assert (state.fleet, state.channels, state.strangers) == ({}, {}, {})
    assert state.trouble["main"].message == FAILED.message
    assert state.journal.exits["main"] == {"boot_failed": 1}


def test_worker_that_ends_between_two_words_is_not_buried_before_its_end_is_known(
    state: State, worker: Channel
) -> None:
    worker.send(HELLO)
    worker.close()

    reaper.hear_worker(state, 1, NOW)

    assert state.fleet[1].pid == PID


def test_end_of_somebody_elses_child_is_forgotten_once_every_pid_is_known(state: State, worker: Channel) -> None:
    state.strangers[os.getpid()] = (0, 0.0)
    worker.send(HELLO)

    reaper.hear_worker(state, 1, NOW)

    assert state.strangers == {}
    assert state.fleet[1].pid == PID
