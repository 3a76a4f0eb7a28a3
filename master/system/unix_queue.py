"""How many clients wait at a Unix socket to be accepted: the kernel tells over netlink only, sock_diag(7).

Can go wrong: a kernel without unix_diag, or a sandbox without netlink: then nobody knows (`None`).
"""

import contextlib
import os
import socket
import struct

_BY_FAMILY, _DUMP_ONE = 20, 1  # SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST
_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_SHOW_RQLEN, _RQLEN = 0x10, 4  # linux/unix_diag.h
_ANY = 0xFFFFFFFF  # states, and a cookie that need not match
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_REQUEST = struct.Struct("=BBHIIIII")  # struct unix_diag_req
_FOUND = 16  # bytes of struct unix_diag_msg, before its attributes
_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr, followed by its value
_PATIENCE = 0.1  # seconds; the kernel has answered when send(2) returns


def queue(sock: socket.socket) -> tuple[int, int] | None:
    """How many wait, and how many may."""
    with (
        contextlib.suppress(OSError, struct.error),
        socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG) as netlink,
    ):
        netlink.settimeout(_PATIENCE)
        inode = os.fstat(sock.fileno()).st_ino
        request = _REQUEST.pack(socket.AF_UNIX, 0, 0, _ANY, inode, _SHOW_RQLEN, _ANY, _ANY)
        netlink.send(_HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, _DUMP_ONE, 0, 0) + request)
        return _read(netlink.recv(4096))
    return None


def _read(answer: bytes) -> tuple[int, int] | None:
    length, kind, *_ = _HEADER.unpack_from(answer)
    at = _HEADER.size + _FOUND
    while kind == _BY_FAMILY and at + _ATTRIBUTE.size <= length:
        size, name = _ATTRIBUTE.unpack_from(answer, at)
        if name == _RQLEN:
            waiting, limit = struct.unpack_from("=II", answer, at + _ATTRIBUTE.size)
            return waiting, limit
        at += max(_ATTRIBUTE.size, (size + 3) & ~3)
    return None
