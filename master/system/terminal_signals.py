"""Signals of terminals: SIGWINCH, SIGTTIN and SIGTTOU, each with who sent it.

An operator sends them to the master, and they mean something. The kernel sends them, too, to a whole process group:
when a terminal is resized, and when a background job reads from it or writes to it. Then they mean nothing. A handler
of Python's is not told who sent a signal, so these are blocked and read from a descriptor, signalfd(2). Those that
nobody has read yet outlive an exec, with their sender.
Can go wrong: a script has threads, and the kernel hands one to a thread that does not block it. Who sent that one,
nobody knows: see `is_of_processes`. One that is sent while another of its number is unread is lost: signal(7).
"""

import contextlib
import ctypes
import os
import signal
import struct

NUMBERS = frozenset({signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU})

_SIZE = 128  # of a signalfd_siginfo, which begins with number, errno and code
_HEAD = struct.Struct("=Iii")
_SIGSET_BYTES = 128  # at least, of a sigset_t of the C library


class TerminalSignals:
    """They are blocked while this is open. Main thread only."""

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
        self._fd = _signalfd()

    def fileno(self) -> int:
        return self._fd

    def heard(self) -> bytes:
        """The numbers of those that processes have sent since the last time."""
        numbers = b""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._fd, 16 * _SIZE):
                heads = (_HEAD.unpack_from(data, at) for at in range(0, len(data), _SIZE))
                numbers += bytes(number for number, _, code in heads if is_sent(code))
        return numbers

    def let_go(self) -> None:
        """Give them back to who had them, without those that wait."""
        self.heard()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_sent(code: int) -> bool:
    """Whether a signal with this `si_code` comes from a process: kill, sigqueue, tgkill. The kernel's are above 0."""
    return code <= 0


def is_of_processes() -> bool:
    """Whether only processes can have sent one: the kernel's come from a terminal that controls us, tty(4)."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return True
    return False


def _signalfd() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    mask = ctypes.create_string_buffer(_SIGSET_BYTES)
    libc.sigemptyset(mask)
    for number in NUMBERS:
        libc.sigaddset(mask, int(number))
    fd = int(libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"signalfd: {os.strerror(error)}")
    return fd
