"""The roll-back: a canary's end by hand, and the generation before had back, by hand or because the new one crashes.

Can go wrong: there is nothing to go back to, or something is under way: refused by name.
"""

from forkful.master.model.fleet import Failure
from forkful.master.policy.transaction import MIXED, Event
from forkful.master.supervisor import reload, spare
from forkful.master.supervisor.state import State


def promote(state: State, now: float) -> tuple[bool, str]:
    """Have all workers follow the canaries now."""
    if state.stage not in MIXED:
        return False, "no canary is compared now"
    assert state.candidate is not None
    number = state.candidate.number
    reload.happened(state, Event.PASSED, now)
    return True, f"all workers follow the canaries of generation {number} now"


def abort(state: State, now: float) -> tuple[bool, str]:
    """Have the canaries leave."""
    if state.stage not in MIXED:
        return False, "no canary is compared now"
    assert state.candidate is not None
    number = state.candidate.number
    reload.fail(state, Failure("abort", "it was aborted by hand"), now)
    return True, f"generation {number} is rolled back"


def request(state: State, waiters: list[int], now: float) -> None:
    """Somebody wants the generation before."""
    if why := refusal(state):
        for question in waiters:
            state.answer(question, ok=False, message=why)
        return
    reload.recall(state, "command", "it was asked for", waiters, now)


def refusal(state: State) -> str:
    """Why there is no going back now; "" if there is."""
    if state.stop is not None:
        return "the service is stopping"
    if state.stage in MIXED:
        return "a canary is compared: forkful reload --abort ends it"
    if state.transaction is not None:
        return f"the {state.transaction.kind.value} that is under way has to end first"
    if state.generations.spare is None:
        return "there is no generation to go back to: bake_time says how long the one before is kept after a reload"
    return ""


def advance(state: State, now: float) -> float:
    """Go back by itself from a generation that dies again and again; return when to look again."""
    kept = state.generations.spare
    if kept is not None and not refusal(state) and (why := spare.told(spare.looping(state) - {*kept.loops})):
        reload.recall(state, "crash_loop", why, [], now)
        return now
    return spare.expire(state, now)
