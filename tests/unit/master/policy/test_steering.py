"""Steering: who goes where, and who moves."""

from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise

import pytest

from forkful.master.policy import steering

Peer = tuple[IPv4Address | IPv6Address, int]
PEERS: dict[str, list[Peer]] = {
    "ports of one address": [(ip_address("127.0.0.1"), port) for port in range(30_000, 34_000)],
    "addresses with one port": [(IPv4Address(0x0A000000 + number), 5060) for number in range(4000)],
    "IPv6": [(IPv6Address((0x20010DB8 << 96) + (number << 64) + 1), 5060 + number % 3) for number in range(4000)],
}


@pytest.mark.parametrize("peers", PEERS.values(), ids=PEERS)
@pytest.mark.parametrize("slots", [1, 2, 3, 4, 7, 16, 64])
def test_each_slot_has_its_share_of_the_peers(peers: list[Peer], slots: int) -> None:
    shares = Counter(steering.slot_of(*peer, slots) for peer in peers)
    fair = len(peers) / slots
    assert sum((shares[slot] - fair) ** 2 / fair for slot in range(slots)) < 2 * slots + 10, shares


@pytest.mark.parametrize("peers", PEERS.values(), ids=PEERS)
def test_only_peers_of_the_slot_that_comes_or_goes_move(peers: list[Peer]) -> None:
    for fewer, more in pairwise(range(1, 12)):
        moved = [peer for peer in peers if steering.slot_of(*peer, fewer) != steering.slot_of(*peer, more)]
        assert {steering.slot_of(*peer, more) for peer in moved} == {more - 1}
        assert len(moved) / len(peers) == pytest.approx(steering.moved(fewer, more), abs=0.03)


@pytest.mark.parametrize(
    ("before", "after", "share"), [(4, 5, 0.2), (5, 4, 0.2), (1, 4, 0.75), (4, 4, 0.0), (0, 3, 1.0)]
)
def test_what_a_change_moves_is_a_share_of_all(before: int, after: int, share: float) -> None:
    assert steering.moved(before, after) == pytest.approx(share)


@pytest.mark.parametrize(
    ("now", "target", "ready", "settled", "expected"),
    [
        (4, 4, {0, 1, 2, 3}, True, 4),
        (4, 6, {0, 1, 2, 3, 4}, True, 4),  # not before all of them serve: one change, and not two
        (4, 6, {0, 1, 2, 3, 4, 5}, True, 6),
        (4, 6, {4, 5}, True, 6),  # an old slot without a worker keeps its peers
        (4, 6, {0, 1, 2, 3, 4, 5}, False, 4),  # a reload that may still be undone
        (4, 2, {0, 1, 2, 3}, False, 2),  # before the workers that leave are told to
        (4, 0, set(), True, 4),  # paused: everybody comes back to where he was
    ],
)
def test_peers_are_spread_over_what_serves(
    now: int, target: int, ready: set[int], settled: bool, expected: int
) -> None:
    assert steering.spread(now, target, ready, settled=settled) == expected
