"""A server of the standard library. `python -m tests.bench.floors.stdlib CLASS HANDLER FD`, HANDLER in apps.echo."""

import socketserver
import sys

from tests.bench.apps import echo
from tests.bench.floors import listening


def main() -> None:
    kind: type[socketserver.TCPServer] = getattr(socketserver, sys.argv[1])
    server = kind(("127.0.0.1", 0), getattr(echo, sys.argv[2]), bind_and_activate=False)
    server.socket.close()
    server.socket = listening(int(sys.argv[3]))
    server.server_address = server.socket.getsockname()
    server.serve_forever()


main()
