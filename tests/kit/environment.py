"""The environment of whoever runs the tests, made fit for them: nothing in it changes what a server does.

Can go wrong: no writable directory has a path that is short enough for Unix sockets: `AssertionError`.
"""

import os
import tempfile
from collections.abc import Mapping

_OURS = ("FORKFUL_", "LISTEN_", "NOTIFY_", "PROMETHEUS_", "WATCHDOG_")
_NAMES = frozenset({"WEB_CONCURRENCY", "PORT", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "PYTHONPATH"})
_FOR_TESTS = "FORKFUL_REQUIRE_PEERS"
_SHORT = 16  # bytes: pytest, a test's name and a socket's add up to 90, and a Unix socket's path has 107, unix(7)
_TEMPROOT = "PYTEST_DEBUG_TEMPROOT"


def speaks_to_servers(name: str) -> bool:
    """Whether a server, or what it stands on, would heed this variable."""
    return (name.startswith(_OURS) and name != _FOR_TESTS) or name in _NAMES


def without_ours(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not speaks_to_servers(name)}


def for_servers(environ: Mapping[str, str]) -> dict[str, str]:
    """The same for a server or a command of ours, which would warn of the variable that is the tests' own."""
    return {name: value for name, value in without_ours(environ).items() if name != _FOR_TESTS}


def prepare() -> None:
    """Forget what was meant for another service, and keep the tests' directories where a Unix socket fits.

    TMPDIR stays as it is for all else: our program and its tests must get along with any.
    """
    for name in [name for name in os.environ if speaks_to_servers(name) and name != "PYTHONPATH"]:
        del os.environ[name]
    os.environ[_TEMPROOT] = short(os.environ.get(_TEMPROOT) or tempfile.gettempdir())


def short(directory: str) -> str:
    """This directory, or one whose path leaves room for the name of a Unix socket."""
    for candidate in (directory, "/tmp", "/var/tmp", "/dev/shm"):  # pytest makes its own, 0700
        if len(os.fsencode(candidate)) <= _SHORT and os.access(candidate, os.W_OK | os.X_OK):
            return candidate
    raise AssertionError("no writable directory whose path is short enough for Unix sockets")
