"""Signals of a worker: noted in C, written to a wakeup socket, read by the control thread.

Nothing is done in a handler.
Can go wrong: the user's code takes a signal or the wakeup descriptor for itself. So they are taken (back) after its
import, and the Python handlers write to the same socket too, which is harmless twice. A process that a handler forks
must not write to our socket: it gets the default dispositions.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

#: Interrupts a blocking call in a lane. Means nothing else; ignored by default, so a late one is harmless.
KICK = signal.SIGURG

DRAIN = frozenset({signal.SIGTERM})
STOP = frozenset({signal.SIGINT, signal.SIGQUIT})
_IGNORED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH)
#: These the kernel sends to background jobs. With a handler a read or a write would be tried again for ever, and its
#: programs would be stopped: ignored, a read fails and a write succeeds, tty(4).
_JOB_CONTROL = (signal.SIGTTIN, signal.SIGTTOU)
_OURS = (*DRAIN, *STOP, *_IGNORED, KICK, signal.SIGIO)


def arm(channel: socket.socket) -> bool:
    """Have the kernel send SIGIO when the channel has something or ends, fcntl(2). Whether it has something already."""
    fcntl.fcntl(channel, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(channel, fcntl.F_SETFL, fcntl.fcntl(channel, fcntl.F_GETFL) | os.O_ASYNC)
    return waits(channel)


def waits(*socks: socket.socket) -> bool:
    """Whether one of them has something to read, or has ended."""
    poll = select.poll()  # select() knows descriptors up to 1023 only
    for sock in socks:
        poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def disarm(channel: socket.socket) -> None:
    fcntl.fcntl(channel, fcntl.F_SETFL, fcntl.fcntl(channel, fcntl.F_GETFL) & ~os.O_ASYNC)


class Wakeup:
    """A socket pair: what is written to `write`, from a signal or a thread, wakes who waits for `read`."""

    def __init__(self) -> None:
        self.read, self.write = socket.socketpair()
        self.read.setblocking(False)
        self.write.setblocking(False)

    def ring(self, what: int = 0) -> None:
        with contextlib.suppress(BlockingIOError):  # full: whoever reads is awake
            self.write.send(bytes((what,)))

    def heard(self) -> bytes:
        """Signal numbers since the last time; 0 where a thread rang."""
        try:
            return self.read.recv(4096)
        except BlockingIOError:
            return b""


def take(wakeup: Wakeup, awake: Callable[[], object], nudged: Callable[[], object]) -> None:
    """Have the worker's signals written to `wakeup`, and see that it is read. Main thread only; may be repeated."""

    def note(number: int, _frame: FrameType | None) -> None:
        # Python runs this in the main thread when that comes round to it. The C half has rung already, unless someone,
        # like an event loop inside of a handler, has put another wakeup descriptor in place.
        if number in DRAIN or number in STOP:
            wakeup.ring(number)
        if number == KICK:
            nudged()
        else:
            awake()

    signal.set_wakeup_fd(wakeup.write.fileno(), warn_on_full_buffer=False)
    for number in _OURS:
        # Not SIG_IGN, also for those that mean nothing: programs which a handler starts would inherit that.
        signal.signal(number, note)
    for number in _JOB_CONTROL:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_OURS, *_JOB_CONTROL))


def let_go_in_children(belongings: list[Callable[[], object]]) -> None:
    """See that processes forked by a handler neither write to our wakeup nor hold what is ours.

    `belongings` close it; more may be added.
    """
    masks: dict[int, set[int]] = {}  # by thread; more than one may fork at a time

    def hold() -> None:
        # Until the child has let go, a signal to it would ring here.
        masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)

    def go_on() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop(threading.get_ident()))

    def let_go() -> None:
        if belongings:  # else it is a child's child
            signal.set_wakeup_fd(-1)
            for number in _OURS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
        while belongings:
            belongings.pop()()
        go_on()

    os.register_at_fork(before=hold, after_in_parent=go_on, after_in_child=let_go)
