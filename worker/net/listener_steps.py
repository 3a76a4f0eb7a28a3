"""Which steps the connections of a pool pass, as its settings have it.

What the settings say was checked when they were read.
"""

from forkful.conf.plan import PoolPlan
from forkful.handlers.secured import Tls
from forkful.worker.net.admission import Admission
from forkful.worker.net.steps import Step, Steps


def admission(plan: PoolPlan) -> Admission | None:
    """Who may connect; None: everyone."""
    return Admission(plan.allow, plan.deny) if plan.allow or plan.deny else None


def steps(plan: PoolPlan, tls: Tls | None = None) -> Steps:
    """In their order; `tls` is a server's own. Datagrams pass none of them, only the admission."""
    found: list[Step] = []
    if (who := admission(plan)) is not None:
        found.append(who)
    if tls is not None:
        from forkful.worker.net.tls import Handshake  # noqa: PLC0415  # others do without ssl: 20 ms and 5 MB

        found.append(Handshake(tls.context, suppress_ragged_eofs=tls.suppress_ragged_eofs))
    return Steps(tuple(found), plan.handshake_timeout)
