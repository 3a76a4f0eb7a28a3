"""Secrets: the TLS contexts of a generation, made by its mold while it may read the keys, and inherited by its workers.

Workers of other pools than theirs let them go.
Can go wrong: a file cannot be used any more, although it could when the settings were read: `Unusable`.
"""

import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from forkful.conf.plan import Plan, PoolPlan

if TYPE_CHECKING:
    from forkful.conf.tls import ServerContext, TlsSettings

OfPool = tuple["ServerContext | None", ...]  # for each listener, in the order of the plan
Contexts = dict[str, OfPool]  # by pool, those that have any


class Unusable(Exception):  # noqa: N818  # an outcome
    """There are no contexts, and why."""


def are_needed(plan: Plan) -> bool:
    """Whether a pool may speak TLS; else nobody imports ssl."""
    return bool(plan.certificates) or any(address.is_secure for pool in plan.pools for address in pool.bind)


def read(plan: Plan, listeners: Mapping[str, tuple[int, ...]]) -> Contexts:
    """Make them. Listeners with the same settings share one, and so do their clients' sessions. Raises `Unusable`."""
    from forkful.conf import tls  # noqa: PLC0415  # who has no TLS does without: 20 ms and 5 MB

    try:
        found = {pool.name: _of_pool(pool, listeners[pool.name]) for pool in plan.pools}
    except tls.TlsError as error:
        raise Unusable(str(error)) from error
    return {name: contexts for name, contexts in found.items() if any(contexts)}


def _of_pool(pool: PoolPlan, fds: tuple[int, ...]) -> OfPool:
    from forkful.conf import tls  # noqa: PLC0415  # as above

    if not fds:  # with affinity each worker has its own, for datagrams
        return ()
    made: dict[TlsSettings, ServerContext] = {}
    contexts: list[ServerContext | None] = []
    for address, fd in zip(pool.bind, fds, strict=True):
        own = pool.at(address)
        if not own.secures(address, _family(fd)):
            contexts.append(None)
            continue
        settings = tls.TlsSettings.at(own)
        if settings not in made:
            made[settings] = tls.context(settings)
        contexts.append(made[settings])
    return tuple(contexts)


def _family(fd: int) -> int:
    with socket.socket(fileno=os.dup(fd)) as again:
        return again.family


def of_one(contexts: Contexts, pool: str) -> OfPool:
    """Those of one pool, in its worker: no other pool's keys stay in its memory."""
    for name in [*contexts]:
        if name != pool:
            for context in contexts.pop(name):
                if context is not None:
                    context.forget()
    return contexts.get(pool, ())
