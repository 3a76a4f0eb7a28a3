"""The progress: what has happened to a transaction by itself, seen in the fleet, in counts or by the clock."""

import math

from forkful.master.model.fleet import Failure
from forkful.master.policy import pools
from forkful.master.policy.transaction import BY_THE_MOLD, SERVING, Event, Stage
from forkful.master.supervisor import bake, spare
from forkful.master.supervisor.generations import Generation
from forkful.master.supervisor.state import State
from forkful.master.supervisor.transaction import Transaction

_LATE = Failure("boot", "the handlers were not imported within boot_timeout")


def look_at(transaction: Transaction) -> float:
    """When something may have happened by the clock."""
    return min(_deadline(transaction), bake.next_look(transaction))


def _deadline(transaction: Transaction) -> float:
    """When patience with this stage ends."""
    if transaction.stage not in BY_THE_MOLD:
        return transaction.deadline
    mold = transaction.candidate.mold if transaction.candidate is not None else None
    return mold.deadline if mold is not None else math.inf


def event(state: State, transaction: Transaction, now: float) -> Event | None:
    """What has happened, if anything."""
    if transaction.failure is not None:
        return Event.FAILED
    if _deadline(transaction) <= now:
        helper = transaction.helper
        late = Failure("settings", f"the {helper.what} was not back in time") if helper is not None else _LATE
        if transaction.stage is not Stage.PARTING:
            transaction.fail(late)
        return Event.OVERDUE
    if transaction.stage not in SERVING or transaction.candidate is None:
        return None
    if transaction.stage is not Stage.BAKING and (crashing := spare.crashing(state, transaction)):
        transaction.fail(Failure("crash_loop", crashing))
        return Event.FAILED
    return _in_fleet(state, transaction, transaction.candidate, now)


def _in_fleet(state: State, transaction: Transaction, candidate: Generation, now: float) -> Event | None:
    fleet, wanted = state.workers.fleet.values(), state.wanted()
    names = {pool.name for pool in candidate.plan.pools}
    facts = [pool for pool in wanted if pool.name in names]
    match transaction.stage:
        case Stage.TRYING if all(pools.has_canary(pool, fleet) for pool in facts):
            return Event.MIXED if bake.is_wanted(state, transaction) else Event.PROVEN
        case Stage.SEATING if all(pools.is_seated(pool, fleet) for pool in facts):
            return Event.SEATED
        case Stage.BAKING:
            return bake.event(state, transaction, now)
        case Stage.ROLLING if all(pools.is_whole(pool, fleet) for pool in facts):
            return Event.WHOLE
        case Stage.PARTING if all(pools.is_settled(pool, fleet) for pool in wanted):
            return Event.SETTLED
    return None
