"""The stop: how the service ends, as a table of stages and events.

A graceful stop goes through all states, a quick one leaps to QUITTING from wherever it is.
Can go wrong: an event that a state has no answer to, `ImpossibleError`.
"""

from enum import Enum

from forkful.master.policy.machine import Row, Table


class Stage(Enum):
    """How far a stop is."""

    UP = "nothing is done about a stop"
    ACCEPTING = "the service is withdrawn, and accepts for drain_delay"
    WITHDRAWING = "the service manager lets go of its duplicates of our listeners"
    CLOSING = "new clients are turned away; who shakes hands already comes in"
    DRAINING = "workers empty the queues and finish what they have"
    QUITTING = "workers leave at once"
    DISMISSING = "the admin child and the last helpers leave"
    OVER = "everybody is gone"


class Event(Enum):
    """What can happen to it."""

    ASKED = "a graceful stop is asked for"
    HURRIED = "a quick stop is asked for"
    LOST = "the first start has failed"
    RELEASED = "the service manager has let go"
    EMPTY = "the last worker is gone"
    ALONE = "the last child is gone"
    OVERDUE = "the patience with this stage is over"


class Do(Enum):
    """What is done about it."""

    ANNOUNCE = "tell everybody, and give up what is tried"
    WITHDRAW = "tell the service manager to let go"
    TURN_AWAY = "refuse new clients"
    DRAIN = "leave the listeners to the workers, who drain"
    END = "tell everybody, give up what is tried, and have workers leave at once"
    HURRY = "say so, and have workers leave at once"
    QUIT = "have workers leave at once"
    DISMISS = "let the admin child go"
    KILL = "kill who is still there"
    GO_ON = "nothing"


#: Seconds of patience by stage, where it is the same for all. ACCEPTING's is `drain_delay`; workers have a deadline of
#: their own each.
PATIENCE = {
    Stage.WITHDRAWING: 1.0,  # for the manager to read what we said
    Stage.CLOSING: 0.05,  # for who was in the middle of a handshake
    Stage.DISMISSING: 2.0,  # for those who have nothing to finish
}

#: The stages at which no worker is wanted any more.
EMPTYING = frozenset({Stage.DRAINING, Stage.QUITTING, Stage.DISMISSING, Stage.OVER})

_GRACEFUL = (Stage.ACCEPTING, Stage.WITHDRAWING, Stage.CLOSING, Stage.DRAINING)
_LATE = (Stage.QUITTING, Stage.DISMISSING, Stage.OVER)

TABLE: Table[Stage, Event, Do] = {
    (Stage.UP, Event.ASKED): Row(Do.ANNOUNCE, Stage.ACCEPTING),
    (Stage.UP, Event.HURRIED): Row(Do.END, Stage.QUITTING),
    (Stage.UP, Event.LOST): Row(Do.QUIT, Stage.QUITTING),
    **{(stage, Event.ASKED): Row(Do.GO_ON, stage) for stage in (*_GRACEFUL, *_LATE)},
    **{(stage, Event.HURRIED): Row(Do.HURRY, Stage.QUITTING) for stage in _GRACEFUL},
    **{(stage, Event.HURRIED): Row(Do.GO_ON, stage) for stage in _LATE},
    (Stage.ACCEPTING, Event.OVERDUE): Row(Do.WITHDRAW, Stage.WITHDRAWING),
    (Stage.WITHDRAWING, Event.RELEASED): Row(Do.TURN_AWAY, Stage.CLOSING),
    (Stage.WITHDRAWING, Event.OVERDUE): Row(Do.TURN_AWAY, Stage.CLOSING),
    (Stage.CLOSING, Event.OVERDUE): Row(Do.DRAIN, Stage.DRAINING),
    (Stage.DRAINING, Event.EMPTY): Row(Do.DISMISS, Stage.DISMISSING),
    (Stage.QUITTING, Event.EMPTY): Row(Do.DISMISS, Stage.DISMISSING),
    (Stage.DISMISSING, Event.OVERDUE): Row(Do.KILL, Stage.DISMISSING),
    (Stage.DISMISSING, Event.ALONE): Row(Do.GO_ON, Stage.OVER),
}
