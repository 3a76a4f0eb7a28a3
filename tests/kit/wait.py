"""Waiting: every wait of the tests has a deadline, and the only poll among them is `until`.

Can go wrong: patience ends: `TooLateError`, which says what was waited for.
"""

import os
import select
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 15.0  # seconds; for a busy machine, no test depends on it


class TooLateError(AssertionError):
    """What was waited for did not happen in time."""


def until(fact: Callable[[], T | None], *, what: str, within: float = PATIENCE) -> T:
    """Ask for a fact that can only be asked for (the status page, /proc) until it is there, and return it."""
    deadline = time.monotonic() + within
    pause = threading.Event()
    while True:
        answer = fact()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TooLateError(f"not within {within:g} s: {what} (the last answer was {answer!r})")
        pause.wait(0.01)


def readable(*fds: int, within: float) -> list[int]:
    """Wait for data or the end of a descriptor; empty when patience ends."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(max(0, int(within * 1000)))]


def gone(pid: int, *, within: float = PATIENCE) -> None:
    """Wait for a process, a child of ours or not, to end (as a zombie it has ended)."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not readable(fd, within=within):
            raise TooLateError(f"process {pid} did not end within {within:g} s")
    finally:
        os.close(fd)
