"""The reaper hears a child out before it buries it, in whatever order the kernel tells of its words and its end."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from forkful.master.model.events import WorkerReady
from forkful.master.model.fleet import Patience, Phase, Reason, Worker
from forkful.master.supervisor import actions, reaper
from forkful.master.supervisor.generations import MoldRecord
from forkful.master.supervisor.state import State
from forkful.master.system import children
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.messages import CastDone, CastFailed, Failed, Hello, Ready
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
    state.workers.fleet[1] = Worker(1, "main", 0, 1, row=row)
    return state


@pytest.fixture
def worker(state: State) -> Iterator[Channel]:
    """The worker's end of its channel."""
    ours, theirs = Channel.pair()
    state.workers.channels[1] = ours
    yield theirs
    ours.close()
    theirs.close()


def test_worker_that_was_reaped_before_it_was_known_still_says_why(state: State, worker: Channel) -> None:
    worker.send(HELLO)
    worker.send(FAILED)
    worker.close()
    state.workers.strangers[PID] = (EXIT_CODE_4, 0.5)

    reaper.hear_worker(state, 1, NOW)

    assert (state.workers.fleet, state.workers.channels, state.workers.strangers) == ({}, {}, {})
    assert state.workers.trouble["main"].message == FAILED.message
    assert state.journal.exits["main"] == {"boot_failed": 1}


@pytest.fixture
def child() -> Iterator[int]:
    """A child of this process that does nothing, as a worker is one of the master's."""
    process = subprocess.Popen(["sleep", "60"])  # as tests find it
    yield process.pid
    process.kill()
    process.wait()


def test_worker_that_ends_between_two_words_is_not_buried_before_its_end_is_known(
    state: State, worker: Channel, child: int
) -> None:
    worker.send(Hello(child))
    worker.close()

    reaper.hear_worker(state, 1, NOW)

    assert state.workers.fleet[1].pid == child


def test_end_of_somebody_elses_child_is_forgotten_once_every_pid_is_known(
    state: State, worker: Channel, child: int
) -> None:
    state.workers.strangers[os.getpid()] = (0, 0.0)
    worker.send(Hello(child))

    reaper.hear_worker(state, 1, NOW)

    assert state.workers.strangers == {}
    assert state.workers.fleet[1].pid == child


@pytest.mark.parametrize("claimed", [-1, 0, 1, os.getppid(), 2**31, 2**63])
def test_process_that_is_no_child_of_ours_is_nobodys_worker(claimed: int, state: State, worker: Channel) -> None:
    worker.send(Hello(claimed))
    worker.send(Ready())
    reaper.hear_worker(state, 1, NOW)

    assert state.workers.fleet[1].pid == 0
    assert state.workers.fleet[1].phase is Phase.READY, "what it says of itself counts"


def test_worker_that_has_said_what_is_no_word_is_never_ready(state: State, worker: Channel) -> None:
    worker.sock.sendall(b"0\n")
    worker.send(Ready())  # before the kill that it earned

    reaper.hear_worker(state, 1, NOW)

    assert state.workers.fleet[1].garbled
    assert state.workers.fleet[1].phase is Phase.STARTING


def test_worker_that_is_ready_before_its_mold_has_said_which_process_it_is_is_told_of_by_its_number(
    state: State, worker: Channel, child: int
) -> None:
    state.admin.pid = child  # as good as its mold's child still
    worker.send(Hello(child))
    worker.send(Ready())
    reaper.hear_worker(state, 1, NOW)
    assert state.workers.fleet[1].phase is Phase.READY
    state.admin.pid = 0
    ours, theirs = Channel.pair()
    state.workers.change(replace(state.workers.fleet[1], mold=7))
    theirs.send(CastDone(1, child))
    reaper.hear_mold(state, MoldRecord(1, 7, ours), NOW + 5)

    told = [event for event in state.journal.news if isinstance(event, WorkerReady)]
    assert [(event.worker.pid, event.seconds) for event in told] == [(child, NOW)], "born at 0, ready at NOW"
    ours.close()
    theirs.close()


def test_child_that_is_somebody_else_is_nobodys_worker(state: State, worker: Channel, child: int) -> None:
    state.admin.pid = child
    worker.send(Hello(child))
    reaper.hear_worker(state, 1, NOW)

    assert state.workers.fleet[1].pid == 0


def test_mold_that_lies_about_a_process_is_killed_and_nobody_else_is(state: State, worker: Channel, child: int) -> None:
    del worker
    ours, theirs = Channel.pair()
    mold = MoldRecord(1, child, ours)
    state.workers.fleet[1] = replace(state.workers.fleet[1], mold=child)
    theirs.send(CastDone(2, os.getpid()))  # another's worker, or nobody's
    theirs.send(CastDone(1, os.getppid()))
    reaper.hear_mold(state, mold, NOW)

    assert mold.garbled
    assert state.workers.fleet[1].pid == 0
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    ours.close()
    theirs.close()


def test_mold_has_nothing_to_say_of_workers_of_others(state: State, worker: Channel, child: int) -> None:
    ours, theirs = Channel.pair()
    worker.send(Hello(child))
    reaper.hear_worker(state, 1, NOW)
    theirs.send(CastFailed(1, "no"))
    theirs.send(CastDone(1, child))
    reaper.hear_mold(state, MoldRecord(2, os.getpid(), ours), NOW)

    assert state.workers.fleet[1].pid == child
    ours.close()
    theirs.close()


@pytest.mark.parametrize("how", ["quit", "killed", "drained", "aborted"])
def test_what_a_worker_was_sent_before_its_pid_was_known_reaches_it_then(
    how: str, state: State, worker: Channel, child: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = state.workers.fleet[1]
    match how:
        case "quit":
            actions.quit_now(state, asked, NOW)
        case "killed":
            actions.kill(state, asked)
        case "drained":
            actions.drain(state, asked, Reason.STOP, NOW)
        case "aborted":
            state.workers.change(replace(asked, patience=Patience.ABORTED))
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(children, "send_signal", lambda *what: sent.append(what))
    worker.send(Hello(child))
    reaper.hear_worker(state, 1, NOW)
    expected = {"quit": signal.SIGQUIT, "killed": signal.SIGKILL, "drained": signal.SIGTERM}
    assert sent == [(child, expected.get(how, signal.SIGABRT))]
