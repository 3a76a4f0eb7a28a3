"""A channel keeps what its socket does not take, with the descriptors that belong to it."""

import os
from collections.abc import Iterator

import pytest

from forkful.worker.ipc import messages
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.messages import Cast, Leave
from tests.kit import processes


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = Channel.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_what_comes_with_descriptors_waits_for_room_and_they_come_with_it(ends: tuple[Channel, Channel]) -> None:
    """The kernel has an end for messages, however small they are: a pool of 500 workers ended its master."""
    ours, theirs = ends
    sent = 0
    while not ours.pending:
        sent += 1
        read, write = os.pipe()
        ours.send(Cast(sent, "main", 0, 0, 1), [read])
        os.write(write, b"%d" % sent)
        os.close(read)
        os.close(write)
        assert sent < 10_000
    with pytest.raises(RuntimeError):
        ours.send(Cast(0, "main", 0, 0, 1), [0])
    ours.send(Leave())

    heard: list[object] = []
    while not heard or heard[-1] != Leave():
        heard += theirs.receive(messages.TO_MOLD)
        ours.flush()
    assert heard == [*(Cast(number, "main", 0, 0, 1) for number in range(1, sent + 1)), Leave()]
    assert [int(os.read(fd, 9)) for fd in theirs.fds] == [*range(1, sent + 1)]


def test_descriptors_that_wait_are_closed_with_their_channel() -> None:
    before = len(processes.descriptors(os.getpid()))
    ours, theirs = Channel.pair()
    while not ours.pending:
        ours.send(Cast(1, "main", 0, 0, 1), [0])
    ours.close()
    theirs.close()
    assert len(processes.descriptors(os.getpid())) == before
