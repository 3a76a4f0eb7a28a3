"""Who a child is: its directory, umask, group and user, taken on before any user code runs.

Can go wrong: no right to become it (`OSError`), or a name that is gone since the settings were read (`NobodyError`):
the child does not start.
"""

import os

from forkful.conf.people import Identity
from forkful.conf.plan import MasterPlan


def assume(plan: MasterPlan) -> None:
    """Change directory, umask, group and user, in the order that each still may."""
    if plan.chdir:
        os.chdir(plan.chdir)
    if plan.umask >= 0:
        os.umask(plan.umask)
    of(plan).assume()


def of(plan: MasterPlan) -> Identity:
    """Who the children of a service become."""
    return Identity.of(plan.user, plan.group)
