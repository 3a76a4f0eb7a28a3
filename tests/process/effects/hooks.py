"""The effects of hooks and commands, and of what is pushed to who collects metrics."""

from typing import Any

from tests.process.effects import AnyEffect, Effect, Service
from tests.process.effects.pool import TCP

POOLS: dict[str, dict[str, Any]] = {  # Any: what TOML takes
    "hooks": {"handler": "optioned:Hooked", "bind": [TCP]},
}


def hooked(service: Service, hooks: list[str]) -> None:
    assert service.door("hooks").ask(b"x").decode().split() == [hook.partition("=")[0] for hook in hooks]


EFFECTS: dict[str, AnyEffect] = {
    "hooks": Effect(["post_fork=optioned:hook"], ["worker_ready=optioned:hook"], hooked, "hooks"),
}
