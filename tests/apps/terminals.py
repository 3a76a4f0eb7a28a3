"""A handler that uses the terminal of its process, and a script that has read from it."""

import os
import sys
import tty
from pathlib import Path
from socketserver import BaseRequestHandler


class OnTerminal(BaseRequestHandler):
    """Asked "stdin", it reads; "tty", it reads where a debugger would; "write", it writes there;
    "raw", it has the terminal without echo and lines, and waits."""

    def handle(self) -> None:
        match self.request.recv(1024):
            case b"stdin":
                said = f"{sys.stdin.read()!r} {os.read(0, 9)!r}"
            case b"tty":
                said = _outcome("r")
            case b"raw":
                raw = os.open("/dev/tty", os.O_RDWR)
                tty.setraw(raw)
                self.request.sendall(b"%d" % os.getpid())
                said = f"{self.request.recv(1024)!r}"
            case b"write":
                said = _outcome("w")
            case _:
                said = str(os.getpid())
        self.request.sendall(said.encode())


def _outcome(mode: str) -> str:
    try:
        with Path("/dev/tty").open(mode) as tty:
            if mode == "w":
                tty.write("from the background\n")
                tty.flush()
                return "written"
            return str(tty.readline())
    except OSError as error:
        return str(error.strerror)


if __name__ == "__main__":
    from forkful.master import TCPServer

    if not os.isatty(0):
        sys.stdin.readline()
    with TCPServer(("127.0.0.1", 0), OnTerminal, workers=2) as server:
        server.serve_forever()
