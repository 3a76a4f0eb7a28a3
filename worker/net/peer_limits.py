"""Limits by address: how many connections a client may have at a time, and how often it may come, in the whole pool.

A client is an IPv4 address, or a network of IPv6 of 64 bits, as one customer has it; IPv4 written as IPv6 is IPv4. Who
comes by a Unix socket has no address and no limit. Connections are counted until they are closed; `Accepted.left` is
to be called then.
What a client has just closed may still be counted by the worker that served it, so one who is at its limit is asked
again for a moment, unless its address was refused within the last second.
Can go wrong: the table has no room for another address: it is let in, which is counted, and told once.
"""

import logging
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from forkful.worker.ipc.assignment import Assignment
from forkful.worker.ipc.peer_table import Limits, Outcome, PeerTable
from forkful.worker.ipc.scoreboard import Scoreboard
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.steps import Reason, Refused, Want

logger = logging.getLogger("forkful.worker")

_MAPPED: Final = bytes(10) + b"\xff\xff"
_NETWORK: Final = bytes(7) + b"\1"  # of an IPv6 client, behind the first half of its address
_MOMENTS: Final = 10  # that one at its limit may wait


def of(assignment: Assignment, board: Scoreboard) -> "PeerLimits | None":
    """Those of a worker; None: its pool has none."""
    plan = assignment.plan
    if assignment.peers < 0:
        return None
    table = PeerTable(assignment.peers, board, assignment.row)
    return PeerLimits(table, Limits(plan.max_connections_per_ip, plan.max_rate_per_ip), str(assignment))


class PeerLimits:
    """The step, and the question for datagrams, which pass none."""

    waits = False

    def __init__(self, table: PeerTable, limits: Limits, who: str) -> None:
        self._table = table
        self._limits = limits
        self._per_second = Limits(0, limits.rate)
        self._who = who
        self._told = False

    def __call__(self, accepted: Accepted) -> Iterator[Want]:
        key = key_of(accepted.peer)
        if key is None:
            return
        outcome = Outcome.LEAVING
        for left in reversed(range(_MOMENTS)):
            outcome, cell = self._table.enter(key, self._limits, last=not left)
            if outcome is not Outcome.LEAVING:
                break
            yield Want.MOMENT
        if outcome is Outcome.CROWDED:
            raise Refused(Reason.CROWDED, f"its address has {self._limits.most} connections already")
        if outcome is Outcome.RATE:
            raise Refused(Reason.RATE, f"its address comes more than {self._limits.rate} times a second")
        if outcome is Outcome.UNCOUNTED:
            self._tell()
        if cell:
            accepted.left = partial(self._table.leave, cell)

    def refuses(self, peer: Any) -> bool:  # Any: an address of the socket module
        """Whether a datagram comes too early after others of its address."""
        if not self._limits.rate or (key := key_of(peer)) is None:
            return False
        outcome, _ = self._table.enter(key, self._per_second)
        if outcome is Outcome.UNCOUNTED:
            self._tell()
        return outcome is Outcome.RATE

    def close(self) -> None:
        """Let go of the table in a child of a worker."""
        self._table.close()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            logger.warning(
                "%s: more addresses than the table of max_connections_per_ip and max_rate_per_ip has room for; those "
                "without a place in it are let in and not counted (forkful_uncounted_arrivals_total)",
                self._who,
            )


def key_of(peer: Any) -> bytes | None:  # Any: as above
    """Who that is, in 16 bytes; None: one without an address."""
    if not isinstance(peer, tuple) or not peer or not isinstance(peer[0], str):
        return None
    host = peer[0]
    try:
        if ":" not in host:
            return _MAPPED + socket.inet_pton(socket.AF_INET, host)
        packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except OSError:
        return None
    return packed if packed.startswith(_MAPPED) else packed[:8] + _NETWORK
