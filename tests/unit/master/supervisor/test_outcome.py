"""What is told of a reload says of the generation before it what it does: it may have nobody who serves."""

from forkful.conf.address import Address
from forkful.conf.plan import MasterPlan, Plan, PoolPlan
from forkful.master.model.events import SERVES, SERVES_NOBODY, ReloadFailed, ReloadStarted, RollbackStarted
from forkful.master.model.fleet import Failure, Phase, Worker
from forkful.master.policy.transaction import Stage
from forkful.master.supervisor import outcome, reload
from forkful.master.supervisor.generations import Generation, Spare
from forkful.master.supervisor.state import State
from forkful.master.supervisor.transaction import Kind, Transaction
from forkful.worker.ipc.scoreboard import Scoreboard

PLAN = Plan((PoolPlan("main", "app:Handler", (Address("tcp", host="127.0.0.1"),)),), MasterPlan(canary="1"))


def service(*, serves: bool) -> State:
    """A service in its second generation, whose worker is retired unless it `serves`."""
    state = State(Scoreboard(), [], "1")
    state.server = object()  # drop-in mode: no settings to read
    state.generations.install(Generation(2, PLAN, {}))
    state.workers.fleet[1] = Worker(1, "main", 0, 2, phase=Phase.READY if serves else Phase.DRAINING)
    return state


def test_reload_after_winch_does_not_say_that_somebody_serves() -> None:
    for serves, words in ((True, SERVES), (False, SERVES_NOBODY)):
        state = service(serves=serves)
        state.directory = "/nowhere"  # so it ends at once
        reload.request(state, Kind.RELOAD, [], 1.0)

        started, failed = state.journal.news
        assert isinstance(started, ReloadStarted)
        assert isinstance(failed, ReloadFailed)
        assert (started.meanwhile, failed.meanwhile) == (words, words)


def test_rollback_after_winch_does_not_say_that_somebody_serves() -> None:
    for serves, words in ((True, SERVES), (False, SERVES_NOBODY)):
        state = service(serves=serves)
        state.generations.spare = Spare(1, 100.0)
        state.generations.retire(Generation(1, PLAN, {}))
        reload.recall(state, "command", "asked for", [], 1.0)
        outcome.failed(state, Transaction(Stage.TRYING, Kind.ROLLBACK), Failure("boot", "no"), 1.0)

        assert [event.meanwhile for event in state.journal.news if isinstance(event, RollbackStarted)] == [words]
        assert [event.meanwhile for event in state.journal.news if isinstance(event, ReloadFailed)] == [words]
