"""The cores: one for the servers, one for the load, so that neither steals from the other.

Can go wrong: a machine with one core has to share it; the figures then say less.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def server_core() -> int:
    return min(os.sched_getaffinity(0))


def load_core() -> int:
    return max(os.sched_getaffinity(0))


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Children started inside run on this core alone, and theirs too."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
