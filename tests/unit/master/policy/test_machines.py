"""The tables of the transaction and the stop: every stage and event has an answer, or is refused as a bug of ours."""

from enum import Enum
from itertools import product
from typing import Any

import pytest

from forkful.master.policy import stop, transaction
from forkful.master.policy.machine import ImpossibleError, look_up
from forkful.master.supervisor import reload, shutdown
from tests.kit import drawing

T, S = transaction.Stage, stop.Stage
MACHINES = {"transaction": (transaction, reload.ACTIONS), "stop": (stop, shutdown.ACTIONS)}
each_machine = pytest.mark.parametrize(("machine", "actions"), MACHINES.values(), ids=MACHINES)

#: What each event can meet. In no other stage can it happen.
MEETS: dict[Enum, set[Enum]] = {
    transaction.Event.ASKED: {*T},
    transaction.Event.PLANNED: {T.READING},
    transaction.Event.INSTALLED: {T.READING},
    transaction.Event.PROBED: {T.PROBING},
    transaction.Event.MOLDED: {T.MOLDING, T.TRYING, T.SEATING, T.BAKING, T.ROLLING, T.PARTING},
    transaction.Event.PROVEN: {T.TRYING},
    transaction.Event.MIXED: {T.TRYING},
    transaction.Event.SEATED: {T.SEATING},
    transaction.Event.PASSED: {T.SEATING, T.BAKING},
    transaction.Event.RECALLED: {T.IDLE},
    transaction.Event.WHOLE: {T.ROLLING},
    transaction.Event.SETTLED: {T.PARTING},
    transaction.Event.FAILED: {*T} - {T.IDLE},
    transaction.Event.OVERDUE: {*T} - {T.IDLE},
    transaction.Event.STOPPED: {*T} - {T.IDLE},
    stop.Event.ASKED: {*S},
    stop.Event.HURRIED: {*S},
    stop.Event.LOST: {S.UP},
    stop.Event.RELEASED: {S.WITHDRAWING},
    stop.Event.EMPTY: {S.DRAINING, S.QUITTING},
    stop.Event.ALONE: {S.DISMISSING},
    stop.Event.OVERDUE: {S.ACCEPTING, S.WITHDRAWING, S.CLOSING, S.DISMISSING},
}
CELLS = [
    pytest.param(machine, stage, event, id=f"{name}: {stage.name} meets {event.name}")
    for name, (machine, _) in MACHINES.items()
    for stage, event in product(machine.Stage, machine.Event)
]


@pytest.mark.parametrize(("machine", "stage", "event"), CELLS)
def test_every_event_at_every_stage_is_answered_or_refused(machine: Any, stage: Enum, event: Enum) -> None:
    if stage in MEETS[event]:
        assert look_up(machine.TABLE, stage, event).next in machine.Stage
    else:
        with pytest.raises(ImpossibleError, match=f"{stage.name} has no answer to {event.name}"):
            look_up(machine.TABLE, stage, event)


@each_machine
def test_everything_that_a_table_names_is_done_by_somebody(machine: Any, actions: Any) -> None:
    assert {row.do for row in machine.TABLE.values()} == {*machine.Do} == {*actions}


@each_machine
def test_every_stage_is_reached_from_the_first(machine: Any, actions: object) -> None:
    del actions
    reached = {next(iter(machine.Stage))}
    for _ in machine.Stage:
        reached |= {row.next for (stage, _), row in machine.TABLE.items() if stage in reached}

    assert reached == {*machine.Stage}


def test_every_failure_of_a_transaction_is_undone_and_ends_it() -> None:
    ends = {event for (_, event), row in transaction.TABLE.items() if row.do is transaction.Do.UNDO}

    assert ends == {transaction.Event.FAILED, transaction.Event.OVERDUE, transaction.Event.STOPPED}
    assert all(row.next is T.IDLE for row in transaction.TABLE.values() if row.do is transaction.Do.UNDO)


def test_stop_that_is_hurried_at_any_stage_never_goes_back_to_a_patient_one() -> None:
    patient = {S.UP, S.ACCEPTING, S.WITHDRAWING, S.CLOSING, S.DRAINING}

    for stage in S:
        assert look_up(stop.TABLE, stage, stop.Event.HURRIED).next not in patient


@pytest.mark.parametrize("name", drawing.MACHINES)
def test_drawing_in_contributing_is_that_of_the_table(name: str) -> None:
    page = drawing.PAGE.read_text()
    begin, end = drawing.between(page, name)

    assert page[begin:end] == drawing.draw(*drawing.MACHINES[name]), "python -m tests.kit.drawing"
