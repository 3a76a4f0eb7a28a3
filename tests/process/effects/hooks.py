"""The effects of hooks and commands, and of what is pushed to who collects metrics."""

from typing import Any

from tests.process.effects import AnyEffect, Effect, Elsewhere, Service
from tests.process.effects.pool import TCP

POOLS: dict[str, dict[str, Any]] = {  # Any: what TOML takes
    "hooks": {"handler": "optioned:Hooked", "bind": [TCP]},
}


def hooked(service: Service, hooks: list[str]) -> None:
    assert service.door("hooks").ask(b"x").decode().split() == [hook.partition("=")[0] for hook in hooks]


EFFECTS: dict[str, AnyEffect] = {
    **{
        key: Elsewhere("process/test_commands.py", "test_each_event_is_told_to_its_program")
        for key in ("on_ready", "on_reload", "on_worker_lost", "on_stop")
    },
    **{
        key: Elsewhere("process/test_push.py", "test_what_is_pushed_is_what_is_scraped")
        for key in ("statsd_host", "dogstatsd_tags", "otlp_endpoint")
    },
    "statsd_prefix": Elsewhere(
        "unit/master/admin/test_push.py", "test_statsd_is_told_what_has_grown_and_how_everything_is"
    ),
    "command_timeout": Elsewhere(
        "process/test_commands.py", "test_a_crash_loop_runs_one_program_at_a_time_and_what_hangs_is_killed"
    ),
    "command_user": Elsewhere("process/test_commands.py", "test_programs_run_as_the_workers_user_unless_root_is_said"),
    "hooks": Effect(["post_fork=optioned:hook"], ["worker_ready=optioned:hook"], hooked, "hooks"),
}
