"""The table of options is whole, and everything made from it is in step."""

from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from forkful.conf.arguments import click_options
from forkful.conf.documentation import table
from forkful.conf.option import Scope
from forkful.conf.options import OPTIONS
from forkful.conf.plan import LogPlan, MasterPlan, PoolPlan
from forkful.conf.values import defaults

SETTINGS = Path(__file__).parents[3] / "deploy" / "reference" / "settings.md"
RECORDS: dict[str, object] = {}
for record in (PoolPlan("x", "x:y", ()), MasterPlan(), LogPlan()):
    RECORDS |= {field.name: getattr(record, field.name) for field in fields(record)}
LOG_KEYS = {
    "log_level": "level",
    "log_format": "format",
    "log_file": "file",
    "access_log": "access",
    "log_config": "config",
}


def test_every_name_flag_and_short_flag_is_there_once() -> None:
    for names in (
        [option.name for option in OPTIONS],
        [option.flag for option in OPTIONS],
        [option.short for option in OPTIONS if option.short],
    ):
        assert len(names) == len(set(names))


@pytest.mark.parametrize("scope", [Scope.MASTER, Scope.POOL])
def test_defaults_are_those_of_the_plan(scope: Scope) -> None:
    for key, said in defaults(scope).items():
        if key not in {"handler", "bind"}:
            assert said.value == RECORDS[LOG_KEYS.get(key, key)], key
            assert said.place == "default"


def test_every_value_of_the_plan_has_an_option() -> None:
    made_elsewhere = {
        "timeout_said",
        "listener",
        "workers_reason",
        "workers_min",
        "workers_max",
        "log",
        "level",
        "format",
        "file",
        "access",
    }
    pool_names = {field.name for field in fields(PoolPlan)} - {"name"}
    keys = {option.key for option in OPTIONS}

    assert (pool_names | {field.name for field in fields(MasterPlan)}) - made_elsewhere <= keys


def test_the_command_line_offers_every_flag_and_gunicorns_short_ones() -> None:
    shown = CliRunner().invoke(click_options(click.Command("serve", callback=lambda: None)), ["--help"]).output

    for option in OPTIONS:
        assert option.flag in shown
    for short in ("-b", "-w", "-t", "-u", "-g", "-m", "-n", "-c"):
        assert f"{short}, " in shown


def test_the_reference_is_in_step_with_the_table() -> None:
    assert table() in SETTINGS.read_text(), "run: python -m forkful.conf.documentation, and paste it into settings.md"
