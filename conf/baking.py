"""Baking: what the settings of a canary and of bake_time mean together, and for the pools.

To have an old generation back, its code must be in memory: where nobody says otherwise, bake_time preloads.
"""

from collections.abc import Iterator

from forkful.conf.mistakes import Mistake
from forkful.conf.settings import Settings
from forkful.conf.values import Said

_BOUNDS = ("canary_requests", "canary_errors", "canary_latency", "canary_memory")


def imply(settings: Settings) -> None:
    """Let pools preload that say nothing of it."""
    bake = settings.master["bake_time"]
    for pool in settings.pools.values():
        if bake.value and not settings.embedded and pool["preload"].place == "default":
            pool["preload"] = Said(value=True, place=bake.place)


def weigh(settings: Settings) -> Iterator[Mistake]:
    """A canary that nobody looks at is none."""
    canary, bake = settings.master["canary"], settings.master["bake_time"]
    if canary.value and not bake.value:
        yield Mistake(canary.place, "a canary needs a time in which it is compared", "write bake_time as well, like 60")


def warnings(settings: Settings) -> Iterator[str]:
    """What has no effect, or not the whole one."""
    master = settings.master
    for key in _BOUNDS:
        if master[key].place != "default" and not master["canary"].value:
            yield f"{master[key].place} is not used: there is no canary"
    for name, pool in settings.pools.items():
        if master["bake_time"].value and not pool["preload"].value and not settings.embedded:
            yield (
                f"{pool['preload'].place}: pool {name} does not preload, so no process keeps its old code: after a "
                "reload the generation before cannot be had back, and canaries come beside the old workers"
            )
