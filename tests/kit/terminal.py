"""A terminal: a pseudo-terminal that a test holds and that controls a server's session, as a shell's job has it.

    with Terminal() as terminal:
        server = serve(..., wrapper=terminal.foreground)

The wrapper is the program in `on_terminal.py`.
Can go wrong: what is expected on it is not shown: `TooLateError`.
"""

import fcntl
import os
import pty
import struct
import sys
import termios
from pathlib import Path
from typing import Any, Self

from tests.kit.wait import PATIENCE, TooLateError, readable

_PROGRAM = Path(__file__).parent / "on_terminal.py"


class Terminal:
    """Both ends are open for as long as the test wants, so that nothing hangs up."""

    def __init__(self) -> None:
        self._ours, self._theirs = pty.openpty()
        self._size = 24

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._ours)
        os.close(self._theirs)

    @property
    def foreground(self) -> list[str]:
        return self._wrapper("fg")

    @property
    def background(self) -> list[str]:
        return self._wrapper("bg")

    def _wrapper(self, where: str) -> list[str]:
        return [sys.executable, str(_PROGRAM), os.ttyname(self._theirs), where]

    def resize(self) -> None:
        """Make it a line higher. The kernel tells the foreground by SIGWINCH, tty_ioctl(4)."""
        self._size += 1
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", self._size, 80, 0, 0))

    def stop_writers(self) -> None:
        """Have background jobs stopped when they write: `stty tostop`."""
        iflag, oflag, cflag, lflag, *rest = termios.tcgetattr(self._theirs)
        state = [iflag, oflag, cflag, lflag | termios.TOSTOP, *rest]
        termios.tcsetattr(self._theirs, termios.TCSANOW, state)

    @property
    def modes(self) -> list[Any]:  # Any: as `tcgetattr` has it
        """Echo, lines and the rest, termios(3)."""
        return termios.tcgetattr(self._theirs)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def expect(self, text: str) -> None:
        """Wait until it is shown."""
        shown = b""
        while text.encode() not in shown:
            if not readable(self._ours, within=PATIENCE):
                raise TooLateError(f"the terminal does not show {text!r} but {shown!r}")
            shown += os.read(self._ours, 65_536)

    def end_shell(self) -> None:
        self.type("\n")
