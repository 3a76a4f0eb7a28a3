"""A packet filter: a program of the kernel's (classic BPF) for a socket, socket(7), linux/filter.h.

Can go wrong: a kernel without it, or a program that it does not take: `OSError`.
"""

import ctypes
import socket
import struct
from collections.abc import Iterable

Step = tuple[int, int, int, int]  # what to do, how far to go on if it is so and if not, and a number

_STEP = struct.Struct("=HBBI")  # struct sock_filter
_PROGRAM = struct.Struct("HL")  # struct sock_fprog: how many, and where they are


def attach(sock: socket.socket, option: int, steps: Iterable[Step]) -> None:
    """Give a socket this program by an option of SOL_SOCKET. Raises OSError."""
    packed = b"".join(_STEP.pack(*step) for step in steps)
    text = ctypes.create_string_buffer(packed)
    program = _PROGRAM.pack(len(packed) // _STEP.size, ctypes.addressof(text))
    sock.setsockopt(socket.SOL_SOCKET, option, program)
