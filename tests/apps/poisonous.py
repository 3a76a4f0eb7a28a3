"""A handler that does to its pool's table of peers what it is told: as root's workers do not, and a hostile one may."""

import fcntl
import os
import time
from pathlib import Path
from socketserver import BaseRequestHandler


def tables() -> list[int]:
    """Descriptors of tables, one of each."""
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        try:
            if "forkful-peers" in str(link.readlink()):
                found[os.fstat(int(link.name)).st_ino] = int(link.name)
        except OSError:
            continue
    return list(found.values())


class Table(BaseRequestHandler):
    def handle(self) -> None:
        what = self.request.recv(100)
        found = tables()
        size = os.fstat(found[0]).st_size
        try:
            match what:
                case b"junk":
                    os.pwrite(found[0], os.urandom(size), 0)
                case b"zero":
                    os.pwrite(found[0], bytes(size), 0)
                case b"ones":
                    os.pwrite(found[0], b"\xff" * size, 0)
                case b"shrink":
                    os.ftruncate(found[0], 0)
                case b"grow":
                    os.ftruncate(found[0], 2 * size)
                case b"lock":
                    fcntl.lockf(found[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
                    time.sleep(0.01)
        except OSError as error:
            self.request.sendall(str(error).encode())
        self.request.sendall(b"%d" % len(found))
