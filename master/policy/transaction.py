"""The transaction: how a reload, an upgrade or the first start goes on, as a table of stages and events.

Every failure is the event FAILED, at whatever stage; OVERDUE is the end of the stage's patience. What was begun is
undone in one place. That canaries do worse is such a failure. The first start is the same with nothing to
fall back to, and so is what the next image of an upgrade does: both begin at READING, with the settings read already.
Can go wrong: an event that a state has no answer to, `ImpossibleError`.
"""

from enum import Enum

from forkful.master.policy.machine import Row, Table


class Stage(Enum):
    """How far a transaction is."""

    IDLE = "nothing is tried"
    READING = "the settings are read"
    PROBING = "a new installation is tried out"
    MOLDING = "the mold imports the handlers"
    TRYING = "each pool has one worker cast, its canary"
    SEATING = "the canaries take their seats"
    BAKING = "the canaries serve beside the old workers, and are compared with them"
    ROLLING = "workers are replaced, one for one"
    PARTING = "all is new; the old workers say that they accept nothing more"


class Event(Enum):
    """What can happen to it."""

    ASKED = "somebody asks for a reload or an upgrade"
    PLANNED = "there is a plan to serve"
    INSTALLED = "there is a new installation to try out"
    PROBED = "the new installation has served in its probe"
    MOLDED = "the mold has imported what it could"
    PROVEN = "every pool has a canary that is ready"
    MIXED = "every pool has a canary that is ready, and the others wait for how these do"
    SEATED = "every canary is ready, and whoever had its seat accepts nothing more"
    PASSED = "the canaries are no worse, or somebody says so"
    RECALLED = "the generation before is wanted back"
    WHOLE = "every slot has a new worker that is ready"
    SETTLED = "nobody else accepts any more"
    FAILED = "something could not be done"
    OVERDUE = "the patience with this stage is over"
    STOPPED = "the service is to stop"


class Do(Enum):
    """What is done about it."""

    BEGIN = "send for the settings"
    NOTE = "remember it for afterwards"
    PROBE = "send the probe"
    EXECUTE = "execute the new installation in place"
    INSTALL = "bind what is new, start the mold"
    CAST = "let policy cast"
    WEIGH = "begin to count"
    OVERTAKE = "remove what is new, then begin what was asked"
    RECALL = "let policy cast from the mold that was kept"
    GO_ON = "nothing"
    COMMIT = "the new generation is the current one"
    UNDO = "remove what is new; the old generation serves on"


#: Seconds of patience by stage, where it is the same for all: for the reader, which may import handlers to learn their
#: kind, and for old workers, who say at once that they accept nothing more. A probe's follows from `boot_timeout`.
PATIENCE = {Stage.READING: 60.0, Stage.PARTING: 2.0}
#: The stages whose deadline is that of the new mold, which may die and be replaced meanwhile. Workers have their own.
BY_THE_MOLD = frozenset({Stage.MOLDING, Stage.TRYING, Stage.SEATING, Stage.BAKING, Stage.ROLLING})

#: The stages at which workers of the new generation are cast.
SERVING = frozenset({Stage.TRYING, Stage.SEATING, Stage.BAKING, Stage.ROLLING, Stage.PARTING})
#: Those at which the old and the new generation have seats of their own.
MIXED = frozenset({Stage.SEATING, Stage.BAKING})

_ENDS = {event: Row(Do.UNDO, Stage.IDLE) for event in (Event.FAILED, Event.OVERDUE, Event.STOPPED)}
_UNDER_WAY = tuple(stage for stage in Stage if stage is not Stage.IDLE)

TABLE: Table[Stage, Event, Do] = {
    **{(stage, event): row for stage in _UNDER_WAY for event, row in _ENDS.items()},
    **{(stage, Event.ASKED): Row(Do.NOTE, stage) for stage in _UNDER_WAY},
    **{(stage, Event.MOLDED): Row(Do.GO_ON, stage) for stage in SERVING},  # one that died meanwhile has a successor
    (Stage.IDLE, Event.ASKED): Row(Do.BEGIN, Stage.READING),
    (Stage.READING, Event.PLANNED): Row(Do.INSTALL, Stage.MOLDING),
    (Stage.READING, Event.INSTALLED): Row(Do.PROBE, Stage.PROBING),
    (Stage.PROBING, Event.PROBED): Row(Do.EXECUTE, Stage.PROBING),
    (Stage.MOLDING, Event.MOLDED): Row(Do.CAST, Stage.TRYING),
    (Stage.TRYING, Event.PROVEN): Row(Do.GO_ON, Stage.ROLLING),
    (Stage.TRYING, Event.MIXED): Row(Do.GO_ON, Stage.SEATING),
    (Stage.SEATING, Event.SEATED): Row(Do.WEIGH, Stage.BAKING),
    (Stage.SEATING, Event.PASSED): Row(Do.GO_ON, Stage.ROLLING),
    (Stage.BAKING, Event.PASSED): Row(Do.GO_ON, Stage.ROLLING),
    **{(stage, Event.ASKED): Row(Do.OVERTAKE, Stage.IDLE) for stage in MIXED},  # a better one may be waiting
    (Stage.IDLE, Event.RECALLED): Row(Do.RECALL, Stage.TRYING),
    (Stage.ROLLING, Event.WHOLE): Row(Do.GO_ON, Stage.PARTING),
    (Stage.PARTING, Event.SETTLED): Row(Do.COMMIT, Stage.IDLE),
    (Stage.PARTING, Event.OVERDUE): Row(Do.COMMIT, Stage.IDLE),
}
