"""An application that a test writes, breaks and mends while it is served."""

from pathlib import Path

ECHO = """\
from socketserver import BaseRequestHandler

class Handler(BaseRequestHandler):
    def handle(self):
        if isinstance(self.request, tuple):
            data, sock = self.request
            sock.sendto(data{suffix}, self.client_address)
        else:
            self.request.sendall(self.request.recv(1024){suffix})
"""

STILLBORN = """\
from socketserver import TCPServer

class Handler(TCPServer):
    def __init__(self):
        raise RuntimeError("stillborn")
"""

# Ways in which a new version does not work, each with a word that the report of the failure must contain.
BROKEN = {
    "a syntax error": ("class Handler(:\n", "SyntaxError"),
    "an import error": ("import no_such_module_anywhere\n", "no_such_module_anywhere"),
    "an attribute that is not there": ("Handle = None\n", "Handler"),
    "an exception while it is imported": ("raise OSError('the database is away')\n", "the database is away"),
    "sys.exit while it is imported": ("import sys\nsys.exit('not today')\n", "not today"),
    "a process that ends while it is imported": ("import os\nos._exit(7)\n", "7"),
    "a process that is killed while it is imported": ("import os\nos.kill(os.getpid(), 9)\n", "SIGKILL"),
    "something that is no handler": ("Handler = 42\n", "int"),
    "a server that dies in its constructor": (STILLBORN, "stillborn"),
}


class App:
    """One module `versioned` in a folder of its own; its handler is `versioned:Handler`."""

    handler = "versioned:Handler"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "versioned.py"
        folder.mkdir()
        self.echo()

    def echo(self, suffix: bytes = b"") -> None:
        """A version that works, and can be told from others by what it appends."""
        self.write(ECHO.format(suffix=f" + {suffix!r}" if suffix else ""))

    def write(self, source: str) -> None:
        """Replace the module at once, as an installer does: nobody ever reads half of it."""
        new = self.path.with_suffix(".new")
        new.write_text(source)
        new.rename(self.path)
