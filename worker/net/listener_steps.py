"""Which steps the connections of a pool pass, as its settings have it.

What the settings say was checked when they were read.
"""

from forkful.conf.plan import PoolPlan
from forkful.worker.net.admission import Admission
from forkful.worker.net.steps import Step, Steps


def admission(plan: PoolPlan) -> Admission | None:
    """Who may connect; None: everyone."""
    return Admission(plan.allow, plan.deny) if plan.allow or plan.deny else None


def steps(plan: PoolPlan) -> Steps:
    """In their order. Datagrams pass none of them, only the admission."""
    found: list[Step] = []
    if (who := admission(plan)) is not None:
        found.append(who)
    return Steps(tuple(found), plan.handshake_timeout)
