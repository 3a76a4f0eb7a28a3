"""The CPUs that we may use: the least of affinity and the control groups' quotas, with the words how it came to that.

Can go wrong: nothing; what cannot be read is no quota.
"""

import math
import os
from pathlib import Path

from forkful.conf.cgroups import OWN, ROOT, cpu_quota
from forkful.conf.light import dataclass


@dataclass(frozen=True, slots=True)
class Cpus:
    count: int
    reason: str


def available(affinity: int | None = None, root: Path = ROOT, own: Path = OWN) -> Cpus:
    """What `workers = "auto"` means here."""
    allowed = len(os.sched_getaffinity(0)) if affinity is None else affinity
    quota = cpu_quota(root, own)
    if quota is None:
        return Cpus(allowed, f"auto: {allowed} = affinity {allowed}, no cgroup quota")
    rounded = max(1, math.ceil(quota))
    count = min(allowed, rounded)
    return Cpus(count, f"auto: {count} = min(affinity {allowed}, cgroup quota {quota:g} -> {rounded})")
