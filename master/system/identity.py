"""Who a child is: its directory, umask, group and user, taken on before any user code runs.

Can go wrong: no right to become it (`OSError`), or a name that is gone since the settings were read (`NobodyError`):
the child does not start.
"""

import os

from forkful.conf.people import Identity, owner
from forkful.conf.plan import MasterPlan, PoolPlan
from forkful.conf.trust import Stranger
from forkful.master.system import privileges
from forkful.master.system.socket_file import LEFT, Access, usual_umask


def assume(plan: MasterPlan) -> None:
    """Change directory, umask, group and user, in the order that each still may."""
    if plan.chdir:
        os.chdir(plan.chdir)
    if plan.umask >= 0:
        os.umask(plan.umask)
    who = of(plan)
    gives_up = os.geteuid() == 0 and Stranger.of(who) is not None
    if gives_up:
        privileges.empty_bounding_set()
    who.assume()
    if gives_up:
        privileges.give_up()


def of(plan: MasterPlan) -> Identity:
    """Who the children of a service become."""
    return Identity.of(plan.user, plan.group)


def access(pool: PoolPlan, plan: MasterPlan) -> Access:
    """Whose the Unix sockets of a pool are, and who may connect: as said, else as its workers' user and umask say."""
    umask = plan.umask if plan.umask >= 0 else usual_umask()
    mode = pool.socket_mode if pool.socket_mode >= 0 else 0o666 & ~umask
    workers, said = of(plan), owner(pool.socket_owner)
    user, group = (
        LEFT if number is None else number
        for number in (
            workers.uid if said[0] is None else said[0],
            workers.gid if said[1] is None else said[1],
        )
    )
    return Access(mode, None if (user, group) == (LEFT, LEFT) else (user, group))
