"""The contenders: the command line of each server that is measured."""

import sys

from tests.bench.server import Contender

PYTHON = sys.executable
FORKFUL = (PYTHON, "-m", "forkful.master.cli", "serve")
ECHO = "tests.bench.apps.echo"


def floor(name: str, module: str, *, datagram: bool = False) -> Contender:
    """One of our floors, by its module."""
    return Contender(name, (PYTHON, "-m", f"tests.bench.floors.{module}", "{fd}"), datagram)


def stdlib(kind: str, handler: str, *, datagram: bool = False) -> Contender:
    """A server class of the standard library, with a handler of apps/echo.py."""
    return Contender(kind, (PYTHON, "-m", "tests.bench.floors.stdlib", kind, handler, "{fd}"), datagram)


def forkful(name: str, handler: str, *options: str, datagram: bool = False, workers: int = 1) -> Contender:
    """Ourselves. The admin child only listens on a socket of its own: no port, no race."""
    words = (*FORKFUL, handler, "-b", "fd://{fd}", "-w", str(workers), "--admin-bind", "unix://{tmp}/admin.sock")
    return Contender(name, words + options, datagram)


def gunicorn(name: str, application: str, *options: str, workers: int = 1) -> Contender:
    """The peer."""
    words = (PYTHON, "-m", "gunicorn", application, "-b", "fd://{fd}", "-w", str(workers), "--chdir", ".")
    return Contender(name, words + options)
