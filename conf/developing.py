"""Developing: what `reload` makes of the settings where nobody says otherwise, and what does not go with it.

One worker, for two cannot share a terminal; no time limits while somebody thinks at a prompt; connections for one
request each, so that none stays with the old code; an access log.
Can go wrong: the library that watches files is not installed: a `Mistake` that says how it is.
"""

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Final

from forkful.conf.mistakes import Mistake
from forkful.conf.settings import Settings
from forkful.conf.values import Elastic, Section

_MASTER: Final = {"debug": True, "access_log": "-", "graceful_timeout": 5.0}
_POOL: Final = {"keep_alive": 0.0}


def develop(settings: Settings) -> None:
    """Change what was left at its default, and tell what cannot be as it was said."""
    master = settings.master
    if not master["reload"].value:
        settings.warnings += _without(settings)
        return
    if find_spec("watchfiles") is None:
        how = "install it: pip install 'forkful[reload]'"
        settings.mistakes.append(Mistake(master["reload"].place, "the package watchfiles is not installed", how))
    place = f"{master['reload'].place}, which is for development"
    master["debug"] = replace(master["debug"], value=True)
    for key, value in _MASTER.items():
        if master[key].place == "default":
            master[key] = replace(master[key], value=value)
    for key in ("bake_time", "canary"):
        if master[key].value:
            settings.warnings.append(f"{master[key].place} is not used with {place}")
            master[key] = replace(master[key], value=type(master[key].value)())
    for name, pool in settings.pools.items():
        settings.warnings += _pool(name, pool, place)


def _pool(name: str, pool: Section, place: str) -> Iterator[str]:
    for key, value in _POOL.items():
        if pool[key].place == "default":
            pool[key] = replace(pool[key], value=value)
    workers = pool["workers"].value
    if isinstance(workers, Elastic) or workers not in {0, 1}:
        yield f"{place}: pool {name} has {workers} workers, which share a terminal at breakpoint()"
    if pool["timeout"].place != "default":
        yield f"{pool['timeout'].place} is not used: there is no timeout with {place}"


def _without(settings: Settings) -> Iterator[str]:
    for key in ("reload_include", "reload_exclude", "reload_extra_file"):
        if (said := settings.master[key]).value:
            yield f"{said.place} is not used: it goes with reload"
