"""Limits by address: who counts as one client, and what a connection is told."""

import os
from collections.abc import Iterator

import pytest

from forkful.conf.plan import PoolPlan
from forkful.worker.ipc import peer_table
from forkful.worker.ipc.assignment import Assignment
from forkful.worker.ipc.scoreboard import Scoreboard
from forkful.worker.net import peer_limits
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.peer_limits import PeerLimits, key_of
from forkful.worker.net.steps import Reason, Refused, Want

V4, V6 = ("192.0.2.7", 1), ("2001:db8:1:2::7", 1, 0, 0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (V4, ("192.0.2.7", 2), True),
        (V4, ("192.0.2.8", 1), False),
        (V4, ("::ffff:192.0.2.7", 1, 0, 0), True),
        (("::ffff:192.0.2.7", 1, 0, 0), ("::ffff:192.0.2.8", 1, 0, 0), False),
        (V6, ("2001:db8:1:2:ffff:ffff:ffff:ffff", 1, 0, 0), True),
        (V6, ("2001:db8:1:3::7", 1, 0, 0), False),
        (("fe80::1%eth0", 1, 0, 2), ("fe80::2%eth0", 1, 0, 2), True),
        (("::1", 1, 0, 0), ("::ffff:0.0.0.1", 1, 0, 0), False),
        (("::1", 1, 0, 0), ("::2", 1, 0, 0), True),
    ],
)
def test_who_is_one_client(one: object, other: object, same: bool) -> None:
    assert (key_of(one) == key_of(other)) is same
    assert len(key_of(one) or b"") == len(key_of(other) or b"") == 16


@pytest.mark.parametrize("peer", ["", b"\0name", "/run/x.sock", None, (), (3, 1024), ("", 0), ("unknown", 0)])
def test_who_has_no_address_has_no_limit(peer: object) -> None:
    assert key_of(peer) is None


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    board = Scoreboard()
    yield board
    os.close(board.fd)


def limits(board: Scoreboard, **plan: int) -> PeerLimits:
    memory = peer_table.make()
    row = board.allocate(1, pool=0, slot=0, generation=1)
    pool = PoolPlan("main", "x:y", (), **plan)  # type: ignore[arg-type]  # numbers, all of them
    made = peer_limits.of(Assignment(pool, 0, 0, 1, row, 1, peers=memory.fd), board)
    assert made is not None
    return made


def outcome(step: PeerLimits, peer: object) -> tuple[list[Want], Reason | None, Accepted]:
    accepted = Accepted(None, peer, 0)  # type: ignore[arg-type]  # it is the peer that is asked
    waits: list[Want] = []
    try:
        waits += step(accepted)
    except Refused as refused:
        return waits, refused.reason, accepted
    return waits, None, accepted


def test_who_is_at_its_limit_is_waited_for_for_a_moment_and_then_refused(board: Scoreboard) -> None:
    step = limits(board, max_connections_per_ip=1)
    _, reason, first = outcome(step, V4)
    assert reason is None
    assert first.left is not None

    patient, again = Accepted(None, V4, 0), Accepted(None, V4, 0)  # type: ignore[arg-type]  # as above
    walk = iter(step(patient))
    assert next(walk) is Want.MOMENT
    first.left()
    assert list(walk) == []
    assert patient.left is not None

    walk = iter(step(again))
    with pytest.raises(Refused) as refused:
        assert set(walk) == {Want.MOMENT}
    assert refused.value.reason is Reason.CROWDED
    assert again.left is None
    assert outcome(step, V4)[:2] == ([], Reason.CROWDED), "at once, within a second of the last"
    assert outcome(step, V6)[1] is None
    assert outcome(step, "")[1] is None


def test_who_comes_too_often_is_refused_and_counts_as_no_connection(board: Scoreboard) -> None:
    step = limits(board, max_rate_per_ip=2)

    assert [outcome(step, V4)[1] for _ in range(3)] == [None, None, Reason.RATE]
    assert outcome(step, V4)[2].left is None


def test_datagrams_are_asked_for_their_rate_alone(board: Scoreboard) -> None:
    both, connections = (
        limits(board, max_rate_per_ip=2, max_connections_per_ip=1),
        limits(board, max_connections_per_ip=1),
    )

    assert [both.refuses(V4) for _ in range(3)] == [False, False, True]
    assert not any(connections.refuses(V4) for _ in range(3))
    assert not any(both.refuses("/run/x.sock") for _ in range(3))
