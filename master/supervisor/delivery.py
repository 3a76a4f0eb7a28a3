"""Nudges: a worker that has not read what it was told is interrupted until it has.

A worker with one lane learns of a message by a signal, and a signal in the instant before its accept(2) interrupts
nothing (`worker.control`); the user's code may block signals, too. The kernel knows what is unread: SIOCOUTQ, unix(7).
Can go wrong: a worker that is stuck in C reads nothing; it is interrupted a few times, which harms nobody, and left to
its deadline. Its stacks, if it was asked for them, are shown by SIGUSR2, which needs nothing of it.
"""

import math
import signal

from forkful.master.model.fleet import Phase
from forkful.master.supervisor.state import State
from forkful.master.system import children
from forkful.worker.ipc import messages
from forkful.worker.ipc.bequest import Bequest
from forkful.worker.process.signals import KICK

FIRST = 0.05  # seconds until the first look; then twice as long each time
MOST = 6  # looks: three seconds
DEAF = 5  # looks after which one that was asked for its stacks is shown by signal


def tell(state: State, token: int, message: messages.ToWorker, left: Bequest | None = None) -> None:
    """Send a message to a worker, with what was `left` to it, and see that it is read."""
    state.workers.channels[token].send(message, [left.fd] if left is not None else ())
    state.workers.told(token, stacks=isinstance(message, messages.Stacks))


def advance(state: State, now: float) -> float:
    """Interrupt those who have not read what they were told; return when to look again."""
    wake_at = math.inf
    for token, unread in [*state.workers.unread.items()]:
        worker = state.workers.fleet[token]
        if unread.looks > MOST or (unread.looks and not state.workers.channels[token].is_unread):
            state.workers.has_read(token)
            continue
        if unread.look_at <= now:
            if unread.looks and worker.pid:
                deaf = unread.stacks and unread.looks == DEAF and worker.phase is not Phase.STARTING
                children.send_signal(worker.pid, signal.SIGUSR2 if deaf else KICK)
            state.workers.looked_at(token, now + FIRST * 2**unread.looks)
        wake_at = min(wake_at, unread.look_at)
    return wake_at
