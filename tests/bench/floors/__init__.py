"""Floors: the least that Python can do, each a process of its own that gets its socket as a descriptor."""

import os
import socket


def listening(fd: int) -> socket.socket:
    """The socket handed down; and say READY=1 to whoever waits for it, sd_notify(3), as the contenders do."""
    sock = socket.socket(fileno=fd)
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect("\0" + address[1:] if address.startswith("@") else address)
            notify.send(b"READY=1")
    return sock
