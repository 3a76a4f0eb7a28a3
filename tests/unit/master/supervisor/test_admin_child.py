"""The admin child is replaced politely: it is asked to leave and still answered, and its end is no trouble then."""

import math
import signal
import subprocess
from collections.abc import Iterator

import pytest

from forkful.master.policy.transaction import Stage
from forkful.master.supervisor import actions, loop, requests
from forkful.master.supervisor.state import State
from forkful.master.supervisor.transaction import Kind, Transaction
from forkful.worker.ipc import messages
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.scoreboard import Scoreboard

NOW = 1000.0
WELL, KILLED = 0, signal.SIGKILL  # as wait4(2) gives it


@pytest.fixture
def state() -> State:
    return State(board=Scoreboard(), argv=[], version="1")


@pytest.fixture
def child(state: State) -> Iterator[Channel]:
    """Its end of its channel; the process does nothing."""
    ours, theirs = Channel.pair()
    with subprocess.Popen(["sleep", "60"]) as process:  # as tests find it
        state.admin.started(process.pid, ours, NOW)
        yield theirs
        process.kill()
    ours.close()
    theirs.close()


def test_child_that_was_asked_to_leave_is_answered_still(state: State, child: Channel) -> None:
    state.admin.replace_from(NOW)
    actions.replace_admin(state, NOW)
    child.send(messages.Question(1, messages.TellFacts()))
    requests.hear_admin(state, NOW)

    leave, facts = child.receive(messages.TO_ADMIN)
    assert leave == messages.Leave()
    assert isinstance(facts, messages.Facts)
    assert not child.closed
    assert state.admin.replace_at == math.inf, "once is enough"


def test_child_that_does_not_leave_in_its_time_loses_its_channel(state: State, child: Channel) -> None:
    pid = state.admin.pid
    actions.replace_admin(state, NOW)
    assert loop._keep_helpers(state, NOW) == NOW + actions.LAST_WORDS  # noqa: SLF001  # so the loop looks again
    loop._keep_helpers(state, NOW + actions.LAST_WORDS)  # noqa: SLF001

    assert child.receive(messages.TO_ADMIN) == [messages.Leave()]
    assert child.closed
    assert state.leaving.names == {pid: actions.ADMIN}
    assert state.leaving.overdue(NOW + 2 * actions.LAST_WORDS) == [pid], "and is killed at last"


def test_child_of_a_version_that_does_not_know_the_word_loses_its_channel_at_once(state: State, child: Channel) -> None:
    state.admin.is_polite = False  # as read from a hand-over that does not say it
    actions.replace_admin(state, NOW)

    assert child.receive(messages.TO_ADMIN) == []
    assert child.closed


@pytest.mark.parametrize(("asked", "status", "struck"), [(True, WELL, 0), (True, KILLED, 1), (False, WELL, 1)])
def test_only_an_end_that_was_asked_for_is_no_trouble(
    state: State, child: Channel, *, asked: bool, status: int, struck: int
) -> None:
    assert not child.closed
    if asked:
        actions.replace_admin(state, NOW)
    actions.admin_gone(state, state.admin.pid, status, NOW + 0.1)

    assert state.admin.strikes.count == struck
    assert not state.admin.pid
    assert not state.admin.is_leaving


def test_answers_of_what_a_child_asked_that_has_left_are_not_the_next_ones(state: State, child: Channel) -> None:
    assert not child.closed
    actions.replace_admin(state, NOW)
    state.transaction = Transaction(Stage.READING, Kind.RELOAD, waiters=[1])
    loop._keep_helpers(state, NOW + actions.LAST_WORDS)  # noqa: SLF001

    assert state.transaction.waiters == []
