"""A worker that is broken or hostile: whoever asks it makes it write to its master, past all that Forkful would say."""

import gc
import os
from socketserver import StreamRequestHandler

from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.scoreboard import Scoreboard


def channel() -> Channel:
    """This worker's own end."""
    (found,) = (each for each in gc.get_objects() if isinstance(each, Channel))
    return found


def poison(value: int) -> None:
    """Write the same into each cell of the scoreboard that anybody reads: header, totals and rows of workers."""
    gc.unfreeze()  # it was there before the mold froze what there is
    (board,) = (each for each in gc.get_objects() if isinstance(each, Scoreboard))
    for number in range(300):
        row = board.row(number)
        for cell in range(len(row)):
            row[cell] = value


class Poison(StreamRequestHandler):
    """What it is sent is the number that it writes everywhere on the scoreboard."""

    def handle(self) -> None:
        if said := self.rfile.read():
            poison(int(said))
        self.wfile.write(b"%d" % os.getpid())


class Gossip(StreamRequestHandler):
    """What it is sent, up to the end, goes to the master. An empty request is answered with the process id."""

    def handle(self) -> None:
        said = self.rfile.read()
        if said:
            os.set_blocking(channel().fileno(), True)
            channel().sock.sendall(said)
        self.wfile.write(b"%d" % os.getpid())
