"""Gunicorn's server hooks, and the moment here that is theirs.

In the mold and in the workers ours are functions; in the master they are commands, for it runs no code of anybody's.
"""

from typing import Final

from forkful.conf.light import dataclass


@dataclass(frozen=True, slots=True)
class Hook:
    """Ours, whether it is a command, and when it is run."""

    ours: str
    when: str
    command: bool = False

    @property
    def told(self) -> str:
        return f"a command, for the master runs no code of yours; {self.when}" if self.command else self.when


HOOKS: Final[dict[str, Hook]] = {
    "pre_fork": Hook("on_load", "once, where the code is loaded, before workers are forked"),
    "post_fork": Hook("post_fork", "in each worker, after the fork"),
    "post_worker_init": Hook("worker_ready", "in each worker, when it is ready"),
    "worker_int": Hook("worker_drain", "in each worker, when it begins to drain"),
    "worker_exit": Hook("worker_exit", "in each worker, when it has drained"),
    "when_ready": Hook("on_ready", "when all pools are ready", command=True),
    "on_reload": Hook("on_reload", "when a reload has ended", command=True),
    "child_exit": Hook("on_worker_lost", "when a worker is lost", command=True),
    "on_exit": Hook("on_stop", "when the service stops", command=True),
}
