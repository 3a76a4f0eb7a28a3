"""A worker that is broken or hostile: whoever asks it makes it write to its master, past all that Forkful would say."""

import ctypes
import gc
import mmap
import os
import random
import socket
from array import array
from socketserver import StreamRequestHandler

from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.scoreboard import CELLS, LANE, PID, ROWS, Scoreboard


def channel() -> Channel:
    """This worker's own end."""
    (found,) = (each for each in gc.get_objects() if isinstance(each, Channel))
    return found


def board() -> Scoreboard:
    gc.unfreeze()  # it was there before the mold froze what there is
    (found,) = (each for each in gc.get_objects() if isinstance(each, Scoreboard))
    return found


def own_rows() -> "list[memoryview[int]]":
    """Those that this worker may write."""
    whole = board()
    first = next(number for number in range(ROWS) if whole.row(number)[PID] == os.getpid())
    beyond = next(number for number in range(first + 1, ROWS) if not whole.row(number)[LANE])
    return [whole.row(number) for number in range(first, beyond)]


class Poison(StreamRequestHandler):
    """What it is sent is the number that it writes into each cell of its own rows."""

    def handle(self) -> None:
        if said := self.rfile.read():
            for row in own_rows():
                for cell in range(CELLS):
                    row[cell] = int(said)
        self.wfile.write(b"%d" % os.getpid())


class Vandal(StreamRequestHandler):
    """Asked to, it writes into a row that is not its own; asked how, it tries to get at them."""

    def handle(self) -> None:
        said = self.rfile.read()
        if said == b"write":
            board().row(1)[5] = 7
        elif said == b"how":
            self.wfile.write(b" ".join(ways()))
        else:
            self.wfile.write(b"%d" % os.getpid())


def ways() -> list[bytes]:
    """How it can write the whole board after all."""
    found = []
    place = board()
    start = ctypes.addressof(ctypes.c_char.from_buffer(place.row(0))) if not place.row(0).readonly else 0
    if ctypes.CDLL(None).mprotect(ctypes.c_void_p(start), mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE) == 0:
        found.append(b"mprotect")
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # numbers
        try:
            if "forkful-scoreboard" not in os.readlink(f"/proc/self/fd/{name}"):  # noqa: PTH115  # as above
                continue
            os.close(os.open(f"/proc/self/fd/{name}", os.O_RDWR))
        except OSError:
            continue
        found.append(b"open")
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208  # as above
        try:
            mmap.mmap(int(entry), mmap.PAGESIZE).close()
        except (OSError, ValueError):
            continue
        found.append(b"mmap of " + os.readlink(f"/proc/self/fd/{entry}").encode())  # noqa: PTH115  # as above
    return found


class Gossip(StreamRequestHandler):
    """What it is sent, up to the end, goes to the master. An empty request is answered with the process id."""

    def handle(self) -> None:
        said = self.rfile.read()
        if said:
            os.set_blocking(channel().fileno(), True)
            channel().sock.sendall(said)
        self.wfile.write(b"%d" % os.getpid())


CELL = (0, 1, 2, 16, 17, 255, 256, 257, 2**16, 2**31, 2**32, 2**53, 2**60, 2**62, 2**63, 2**64 - 1)


class Hostile(StreamRequestHandler):
    """A first byte says what it does with the rest: say it to the master, with descriptors, or write its rows."""

    def handle(self) -> None:
        said = self.rfile.read()
        match said[:1]:
            case b"s":
                os.set_blocking(channel().fileno(), True)
                channel().sock.sendall(said[1:])
            case b"f":
                fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(said[1])]
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))]
                channel().sock.sendmsg([said[2:] or b"x"], rights)
                for fd in fds:
                    os.close(fd)
            case b"r":
                dice = random.Random(said)
                for row in own_rows():
                    for cell in dice.sample(range(CELLS), dice.choice((1, 5, CELLS))):
                        row[cell] = dice.choice((*CELL, dice.getrandbits(64)))
            case b"c":
                channel().sock.shutdown(socket.SHUT_WR if said[1:] else socket.SHUT_RDWR)
        self.wfile.write(b"%d" % os.getpid())
