"""Who a child is: its user, group, umask and directory, taken on before any user code runs.

Can go wrong: an unknown user or group, or no right to become it: `OSError`/`KeyError`, and the child does not start.
"""

import grp
import os
import pwd
from pathlib import Path

from forkful.conf.plan import MasterPlan


def assume(plan: MasterPlan) -> None:
    """Change directory, umask, group and user, in the order that each still may."""
    if plan.chdir:
        os.chdir(plan.chdir)
    if plan.umask >= 0:
        os.umask(plan.umask)
    user, group = user_and_group(plan)
    if group is not None and group != os.getegid():
        os.setgroups([group])
        os.setgid(group)
    if user is not None and user != os.geteuid():
        if os.geteuid() == 0:
            name = pwd.getpwuid(user).pw_name
            os.initgroups(name, os.getgid())
        os.setuid(user)


def user_and_group(plan: MasterPlan) -> tuple[int | None, int | None]:
    """The numbers of the user and group to become; None: stay."""
    user = group = None
    if plan.user:
        user = int(plan.user) if plan.user.isdigit() else pwd.getpwnam(plan.user).pw_uid
        if not plan.group:
            group = pwd.getpwuid(user).pw_gid
    if plan.group:
        group = int(plan.group) if plan.group.isdigit() else grp.getgrnam(plan.group).gr_gid
    return user, group


def give(path: Path, plan: MasterPlan) -> None:
    """Hand a file or directory that the master made to the user that its children become."""
    user, group = user_and_group(plan)
    if (user, group) != (None, None):
        os.chown(path, -1 if user is None else user, -1 if group is None else group)
