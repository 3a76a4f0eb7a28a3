"""The admin child: the pages and the commands, in a process of its own so that they cannot stall supervision.

This is its entrance and costs nothing to import; the rest comes with `run`, which the master must not carry, and
prometheus_client (54 ms, 14 MB) with the first scrape.
Can go wrong: if the child dies, the master makes another.
"""

import signal
import socket
from typing import TYPE_CHECKING

from forkful.conf.plan import MasterPlan
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.scoreboard import Scoreboard

if TYPE_CHECKING:
    from forkful.master.admin.gate import Gate

# The master's to act on: it ends this child by the end of the channel, last of all, so that pages tell of the stop.
_IGNORED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


def run(  # noqa: PLR0913  # all that an admin child has
    channel: Channel,
    board: Scoreboard,
    listeners: list[socket.socket],
    gate: "Gate",
    plan: MasterPlan,
    *,
    is_first: bool,
) -> int:
    """Be the admin child until the master is gone; `listeners` are bound and listen. `is_first`: of this service."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    from forkful.master.admin import server  # noqa: PLC0415  # see above

    server.serve(channel, board, listeners, gate, plan, is_first=is_first)
    return 0
