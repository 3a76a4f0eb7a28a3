"""Which program an event asks for, what it is told, and that no crash loop starts many."""

import dataclasses

import pytest

from forkful.conf.plan import COMMANDS
from forkful.master.model.events import (
    Event,
    Noted,
    ReloadFailed,
    ReloadRolledBack,
    ReloadSucceeded,
    RollbackFailed,
    RollbackSucceeded,
    Serving,
    Stopping,
    UpgradeFailed,
    UpgradeRolledBack,
    UpgradeSucceeded,
    WorkerDied,
    WorkerGone,
)
from forkful.master.model.fleet import Reason, Worker
from forkful.master.policy.commands import Call, call_for, due, waiting_with

WORKER = Worker(1, "chat", 3, 7, born=0.0, mold=2, pid=99, deadline=0.0, row=0, lanes=1)
ASKED = [
    (Serving(1, 2), "on_ready", {"RESULT": "success"}),
    (ReloadSucceeded(3), "on_reload", {"KIND": "reload", "RESULT": "success", "GENERATION": "3"}),
    (UpgradeSucceeded(3), "on_reload", {"KIND": "upgrade", "RESULT": "success", "GENERATION": "3"}),
    (ReloadFailed("no", "trace"), "on_reload", {"KIND": "reload", "RESULT": "failure", "REASON": "no"}),
    (ReloadRolledBack("worse"), "on_reload", {"KIND": "reload", "RESULT": "rolled_back", "REASON": "worse"}),
    (UpgradeRolledBack("worse"), "on_reload", {"KIND": "upgrade", "RESULT": "rolled_back", "REASON": "worse"}),
    (RollbackFailed("no"), "on_reload", {"KIND": "rollback", "RESULT": "failure", "REASON": "no"}),
    (
        RollbackSucceeded(3, 4, "command", "asked for", ""),
        "on_reload",
        {"KIND": "rollback", "RESULT": "success", "GENERATION": "3", "REASON": "asked for"},
    ),
    (UpgradeFailed("no"), "on_reload", {"KIND": "upgrade", "RESULT": "failure", "REASON": "no"}),
    (
        WorkerDied(WORKER, Reason.OOM, "killed by SIGKILL"),
        "on_worker_lost",
        {
            "POOL": "chat",
            "SLOT": "3",
            "GENERATION": "7",
            "PID": "99",
            "REASON": "oom",
            "HOW": "killed by SIGKILL",
        },
    ),
    (Stopping(" now", "SIGINT", quick=True), "on_stop", {"RESULT": "quick", "REASON": "SIGINT"}),
]


@pytest.mark.parametrize(("event", "name", "told"), ASKED, ids=[f"{type(event).__name__}" for event, _, _ in ASKED])
def test_event_asks_for_its_program(event: Event, name: str, told: dict[str, str]) -> None:
    assert name in COMMANDS
    assert call_for(event) == Call(name, told)


@pytest.mark.parametrize("event", [WorkerGone(WORKER, Reason.RELOAD, "exit code 0"), Noted("x")])
def test_what_is_no_loss_asks_for_nothing(event: Event) -> None:
    assert call_for(event) is None


def test_variables_have_their_names_and_one_line_each() -> None:
    told = Call("on_reload", {"REASON": "one\ntwo\0three\x1b[31m " + "x" * 9999}, count=4).environ(pid=12)
    assert {key: told[key] for key in ("FORKFUL_EVENT", "FORKFUL_PID", "FORKFUL_COUNT")} == {
        "FORKFUL_EVENT": "on_reload",
        "FORKFUL_PID": "12",
        "FORKFUL_COUNT": "4",
    }
    assert told["FORKFUL_REASON"].startswith("one two three [31m xxx")
    assert len(told["FORKFUL_REASON"]) <= 2000


def test_a_crash_loop_starts_one_program_and_then_one_for_all_the_rest() -> None:
    waiting: dict[str, Call] = {}
    running: set[str] = set()
    started = []
    for pid in range(1000):
        lost = dataclasses.replace(WORKER, pid=pid)
        call = call_for(WorkerDied(lost, Reason.CRASH, "exit code 1"))
        assert call is not None
        waiting = waiting_with(call, waiting)
        for each in due(waiting, running):
            started.append(each)
            running.add(each.name)
            del waiting[each.name]
        if pid == 499:  # the first has ended
            running.clear()
    assert [call.count for call in started] == [1, 500]
    assert waiting["on_worker_lost"].count == 499
    assert waiting["on_worker_lost"].told["PID"] == "999", "the latest"


def test_events_of_other_kinds_do_not_wait_for_each_other() -> None:
    waiting = waiting_with(Call("on_stop"), {"on_worker_lost": Call("on_worker_lost")})
    assert [call.name for call in due(waiting, {"on_worker_lost"})] == ["on_stop"]
