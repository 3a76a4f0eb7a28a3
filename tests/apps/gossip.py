"""A worker that is broken or hostile: whoever asks it makes it write to its master, past all that Forkful would say."""

import gc
import os
from socketserver import StreamRequestHandler

from forkful.worker.ipc.channel import Channel


def channel() -> Channel:
    """This worker's own end."""
    (found,) = (each for each in gc.get_objects() if isinstance(each, Channel))
    return found


class Gossip(StreamRequestHandler):
    """What it is sent, up to the end, goes to the master. An empty request is answered with the process id."""

    def handle(self) -> None:
        said = self.rfile.read()
        if said:
            os.set_blocking(channel().fileno(), True)
            channel().sock.sendall(said)
        self.wfile.write(b"%d" % os.getpid())
