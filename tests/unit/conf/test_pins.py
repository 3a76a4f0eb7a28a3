"""What a running service keeps, whatever its settings say now, and how that is told."""

from dataclasses import fields, replace

import pytest

from forkful.conf.address import Address
from forkful.conf.option import Option, Scope
from forkful.conf.options import OPTIONS
from forkful.conf.pins import for_reader, pinned, told
from forkful.conf.plan import AdminPlan, MasterPlan, Plan, PoolPlan

POOL = PoolPlan("a", "x:y", ())
OLD = Plan(pools=(POOL,), master=MasterPlan(user="nobody", umask=0o22))
NEW = Plan(
    pools=(replace(POOL, reuse_port=True, affinity="peer", workers=9), PoolPlan("b", "x:y", (), reuse_port=True)),
    master=MasterPlan(user="root", group="root", chdir="/", umask=0, name="other", pid="/p", graceful_timeout=1),
    admin=(Address("fd", fd=3),),
    access=AdminPlan(group="adm"),
)


def of_plan(option: Option, plan: Plan) -> object:
    match option.scope:
        case Scope.ADMIN if option.key == "bind":
            return plan.admin
        case Scope.ADMIN:
            return getattr(plan.access, option.key)
        case Scope.MASTER:
            return getattr(plan.master, option.key)
        case Scope.POOL:
            return getattr(plan.pools[0], option.key)


@pytest.mark.parametrize("upgrade", [False, True], ids=["reload", "upgrade"])
@pytest.mark.parametrize("option", [option for option in OPTIONS if not option.reload], ids=lambda option: option.name)
def test_every_option_that_needs_a_restart_keeps_its_value(option: Option, upgrade: bool) -> None:
    kept = pinned(OLD, NEW, upgrade=upgrade)
    may = option.upgrade and upgrade

    assert of_plan(option, OLD) != of_plan(option, NEW), "this test's plans differ in each of them"
    assert of_plan(option, kept) == of_plan(option, NEW if may else OLD)
    assert (f" {option.key} changed" in told(OLD, kept) or f" {option.key}," in told(OLD, kept)) is not may


def test_everything_else_is_what_the_settings_say_now() -> None:
    kept = pinned(OLD, NEW)
    fixed = {option.key for option in OPTIONS if not option.reload}

    assert kept.master.graceful_timeout == 1
    assert kept.pools[1] == NEW.pools[1], "a pool that is new begins with what it asks for"
    for field in fields(PoolPlan):
        if field.name not in fixed - {"bind"}:
            assert getattr(kept.pools[0], field.name) == getattr(NEW.pools[0], field.name)


def test_what_is_asked_in_vain_is_told_once_and_again_when_it_is_another() -> None:
    first = pinned(OLD, NEW)
    again = pinned(first, NEW)
    other = pinned(again, replace(NEW, master=replace(NEW.master, user="daemon")))

    assert told(OLD, first) == (
        "[pool.a] reuse_port, [pool.a] affinity, [admin] group, [master] user, [master] group changed, "
        "and will only after a restart; "
        "[admin] bind, [master] name, [master] pid, [master] chdir, [master] umask changed, "
        "and will only after a restart or an upgrade"
    )
    assert told(first, again) == ""
    assert told(again, other) == "[master] user changed, and will only after a restart"
    assert told(OLD, pinned(OLD, OLD)) == ""


def test_a_plan_that_crossed_a_pipe_still_knows_what_was_asked_in_vain() -> None:
    kept = pinned(OLD, NEW)

    assert Plan.from_json(kept.to_json()) == kept
    assert pinned(OLD, kept).unheeded == kept.unheeded, "nothing is lost where it is pinned twice"


def test_handlers_are_imported_as_whom_the_service_was_started_for() -> None:
    assert for_reader(OLD, upgrade=False) == {
        "name": "forkful",
        "user": "nobody",
        "group": "",
        "umask": 0o22,
        "chdir": "",
    }
    assert for_reader(OLD, upgrade=True) == {"user": "nobody", "group": ""}
