"""The floor of streams: accept, recv, sendall, close. `python -m tests.bench.floors.tcp [stream] FD`.

With `stream` the standard library's `StreamRequestHandler` answers, and that is all that is in between.
"""

import sys
from typing import Any

from tests.bench.apps.echo import OnceStream
from tests.bench.floors import listening


def main() -> None:
    listener = listening(int(sys.argv[-1]))
    accept = listener.accept
    server: Any = None  # Any: nobody asks it
    while "stream" in sys.argv:
        connection, peer = accept()
        OnceStream(connection, peer, server)
        connection.close()
    while True:
        connection, _ = accept()
        connection.sendall(connection.recv(1024))
        connection.close()


main()
