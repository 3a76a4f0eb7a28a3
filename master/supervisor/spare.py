"""The spare: the generation before, whose mold is kept for `bake_time` after a reload, so that it can be had back.

Can go wrong: it cannot be kept, for its mold has not its code, or its addresses are not ours any more: told by name.
"""

import math

from forkful.master.model.events import SpareKept, SpareLost, Warned
from forkful.master.policy import canary
from forkful.master.policy.transaction import MIXED
from forkful.master.supervisor.generations import Generation, Spare
from forkful.master.supervisor.state import State
from forkful.master.supervisor.transaction import Kind, Transaction


def keep(state: State, old: Generation, new: Generation, loops: set[str], now: float) -> None:
    """The new generation serves: keep the old one, in place of the one before it. `loops`: pools that crashed in it."""
    state.generations.let_go()
    if not (seconds := new.plan.master.bake_time) or old.plan.stand_in:
        return
    if why := _lacks(state, old, new):
        state.journal.report(SpareLost(old.number, why))
        return
    state.generations.keep(Spare(old.number, now + seconds, tuple(sorted(loops))))
    state.journal.report(SpareKept(old.number, seconds))


def _lacks(state: State, old: Generation, new: Generation) -> str:
    """Why it cannot be had back; "" if it can."""
    if old.mold is None or not old.mold.ready:
        return "its mold is gone"
    if old.anew:
        return "its mold was replaced, and what came has the code that was on disk then"
    lazy = [pool.name for pool in old.plan.pools if not pool.preload]
    if lazy and state.server is None:
        return f"no process has the code of pool {', '.join(lazy)}: it does not preload"
    stay = {id(x) for row in new.listeners.values() for x in row}
    gone = [x.bound for row in old.listeners.values() for x in row if id(x) not in stay]
    if gone:
        return f"{', '.join(dict.fromkeys(gone))} is closed, as the new settings have it"
    return ""


def has_no_mold(state: State, generation: Generation) -> bool:
    """The mold of this generation has died, and with it its code; return whether it was a spare, and is none now."""
    if state.generations.is_spare(generation):
        state.generations.let_go()
        state.journal.report(SpareLost(generation.number, "its mold is gone"))
        return True
    if state.stage in MIXED and generation is state.current:
        text = "died beside canaries, and what replaces it has the code that is on disk now"
        state.journal.report(Warned(f"the old mold, gen={generation.number}, {text}"))
    return False


def expire(state: State, now: float) -> float:
    """Let it go if its time is over and nothing is under way; return when that will be."""
    spare = state.generations.spare
    if spare is None:
        return math.inf
    if spare.until <= now and state.transaction is None:
        state.generations.let_go()
    return spare.until if spare.until > now else math.inf


def crashing(state: State, transaction: Transaction) -> str:
    """In words, which pools die again and again since new workers came, where there is somebody to go back to."""
    new = transaction.candidate
    if new is None or state.current is None or transaction.kind is Kind.ROLLBACK or not new.plan.master.bake_time:
        return ""
    return told(looping(state) - transaction.loops)


def told(pools: set[str]) -> str:
    return f"workers of pool {', '.join(sorted(pools))} die again and again" if pools else ""


def looping(state: State) -> set[str]:
    """The pools whose workers die again and again."""
    worst: dict[str, int] = {}
    for (pool, _), strikes in state.workers.strikes.items():
        worst[pool] = max(worst.get(pool, 0), strikes.count)
    return canary.looped(worst)
