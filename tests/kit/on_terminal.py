"""On a terminal: `python on_terminal.py PATH fg|bg COMMAND...` takes the terminal and executes the command.

In the foreground, or as a background job of a shell, which is there until it is given a line.
Can go wrong: it leads no session, so the terminal is nobody's.
"""

import os
import signal
import sys


def _run(path: str, where: str, command: list[str]) -> None:
    terminal = os.open(path, os.O_RDWR)  # a session's leader that has none gets it as its own, tty(4)
    os.dup2(terminal, 0)
    os.close(terminal)
    if where == "bg":
        _be_a_job()
    os.execvp(command[0], command)


def _be_a_job() -> None:
    """Have a shell in the foreground, and somebody in our group who is its child: else our group is an orphan.

    Whoever reads in the background of an orphaned group gets an error, and its group no SIGTTIN, setpgid(2).
    """
    job = os.getpgrp()
    told, tell = os.pipe()
    if os.fork() == 0:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(0, os.getpgrp())
        other = os.fork()
        if other == 0:
            os.setpgid(0, job)
            signal.signal(signal.SIGTTIN, signal.SIG_IGN)
            os.write(tell, b"!")
            while True:
                signal.pause()
        os.read(0, 1)
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)
        os._exit(0)
    os.read(told, 1)
    os.close(told)
    os.close(tell)


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2], sys.argv[3:])
