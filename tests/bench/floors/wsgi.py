"""A WSGI server without a command line that takes a descriptor. `python -m tests.bench.floors.wsgi SERVER APP FD`."""

import sys
from importlib import import_module
from typing import Any

from tests.bench.floors import listening


def main() -> None:
    name, application, fd = sys.argv[1:]
    module, _, attribute = application.partition(":")
    app = getattr(import_module(module), attribute)
    server: Any = import_module(name)  # Any: neither has types
    sock = listening(int(fd))
    sock.setblocking(False)
    if name == "bjoern":
        server.server_run(sock, app)
    else:
        server.serve(app, sockets=[sock], _quiet=True)


main()
