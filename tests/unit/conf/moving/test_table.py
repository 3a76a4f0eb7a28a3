"""The table of Gunicorn's settings, held beside the installed Gunicorn."""

import pytest
from gunicorn.config import KNOWN_SETTINGS

from forkful.conf.foreign import INSTEAD, flag_instead, takes_value
from forkful.conf.moving.hooks import HOOKS
from forkful.conf.moving.table import BY_NAME, ROWS, Row, Shape, Verdict
from forkful.conf.options import BY_NAME as OPTIONS


def test_every_setting_of_gunicorn_has_a_row_with_its_flags() -> None:
    theirs = {setting.name: tuple(setting.cli or ()) for setting in KNOWN_SETTINGS}

    assert {row.name: row.flags for row in ROWS} == theirs


def test_flags_take_values_as_gunicorn_s_do() -> None:
    bare = {
        setting.name for setting in KNOWN_SETTINGS if setting.cli and setting.action in {"store_true", "store_const"}
    }
    lists = {setting.name for setting in KNOWN_SETTINGS if setting.action == "append"}

    assert {row.name for row in ROWS if row.flags and row.shape in {Shape.SWITCH, Shape.OFF}} == bare
    assert {row.name for row in ROWS if row.shape is Shape.LIST} == lists


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row_names_our_option_or_says_what_to_do_instead(row: Row) -> None:
    assert row.ours in OPTIONS or row.told or row.name in HOOKS
    assert row.verdict is not Verdict.SAME or row.ours or row.told or row.name in HOOKS


@pytest.mark.parametrize("row", [row for row in ROWS if row.flags and row.name != "config"], ids=lambda row: row.name)
def test_flag_that_is_not_ours_is_answered(row: Row) -> None:
    ours = {option.flag for option in OPTIONS.values()} | {option.short for option in OPTIONS.values()}

    for flag in row.flags:
        assert flag in ours or flag_instead(flag)


def test_answer_to_a_flag_names_our_flag() -> None:
    assert flag_instead("--access-logfile") == "write --access-log"
    assert flag_instead("--ssl-certfile") == "write --certfile"
    assert takes_value("--worker-class")
    assert takes_value("--host")
    assert not takes_value("--daemon")
    assert not takes_value("--factory")
    assert not takes_value("--nobody-has-this")


def test_hooks_are_settings_of_gunicorn() -> None:
    assert {name for name in HOOKS if BY_NAME[name].shape is Shape.HOOK} == {*HOOKS}
    assert INSTEAD["post_fork"].startswith("post_fork: in each worker")
