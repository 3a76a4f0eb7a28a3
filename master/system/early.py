"""Signals that come early: before there is a master that could act on them.

What would end a process that has no handler for it is blocked until the master has one, also across the execution of
the master: it is then acted on. Who asks for a stop while the settings are read gets it at once.
Can go wrong: a signal in the first milliseconds of the interpreter, before any code of ours runs: the kernel does then
what it does to every program.
"""

import signal
import sys
from types import FrameType

#: What the master acts on later, if it comes while there is none.
WAIT = frozenset(
    {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH, signal.SIGCHLD}
)
STOP = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})


def hold() -> None:
    """Begin to start: signals wait, and a stop is one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WAIT)
    for number in STOP:
        signal.signal(number, _stop)


def hand_over() -> None:
    """Just before the master is executed, or takes its handlers: a stop waits, too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WAIT | STOP)


def let_go() -> None:
    """There will be no master here, or there was one: what waited does what it does to every program."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WAIT | STOP)


def _stop(number: int, frame: FrameType | None) -> None:
    """Nothing serves yet, so there is nothing to finish; a child that was asked about a handler is ended on the way."""
    del number, frame
    sys.exit(0)
