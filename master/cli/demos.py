"""Demos: the applications of `forkful.handlers.examples`, each a settings file that `forkful demo NAME` serves.

Can go wrong: what it needs is not installed: told, with what to install.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import forkful.handlers.examples


class Demo(NamedTuple):
    """One of them. `needs`: modules that an extra of ours brings."""

    what: str
    settings: str  # a file beside the examples
    needs: tuple[str, ...] = ()


DEMOS: Final = {
    "compute": Demo("jobs cut into tasks for all cores: tcp 127.0.0.1:7100", "compute/demo.toml"),
    "game": Demo("an arena over UDP, and in browsers: http://127.0.0.1:8090/", "game/demo.toml"),
    "monitor": Demo("StatsD, Graphite and syslog on a live page: http://127.0.0.1:8080/", "monitor/demo.toml"),
    "web": Demo("a web server: http://127.0.0.1:8000/", "web/demo.toml", ("starlette", "a2wsgi")),
}


def settings(name: str) -> Path:
    """The settings file of a demo."""
    return Path(*forkful.handlers.examples.__path__) / DEMOS[name].settings


def missing(name: str) -> str:
    """What to do first; "" if it can be served."""
    absent = [module for module in DEMOS[name].needs if find_spec(module) is None]
    return f"{', '.join(absent)}: not installed; pip install 'forkful[examples]'" if absent else ""
