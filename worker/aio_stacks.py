"""Where everything is: the stacks of all threads and tasks of a worker on an event loop, to the log.

Can go wrong: nothing; it only looks.
"""

import asyncio
import io
import logging
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from forkful.worker import stacks

if TYPE_CHECKING:
    from forkful.worker.aio_ledger import Ledger

logger = logging.getLogger("forkful.worker")

_MOST: Final = 50  # tasks told of; the oldest requests come first


def dump(who: object, loop: asyncio.AbstractEventLoop, ledger: "Ledger") -> None:
    """One record with all threads, one with the tasks."""
    stacks.tell(who, ())
    text = tasks(loop, ledger)
    if text:
        logger.warning("%s: stacks of tasks\n%s", who, text)


def tasks(loop: asyncio.AbstractEventLoop, ledger: "Ledger") -> str:
    """The tasks of requests in flight first, oldest first, each with its age; then the others."""
    now = monotonic_ns()
    found = asyncio.all_tasks(loop)
    parts: list[str] = []
    for flight, began in tuple(ledger.flights.items()):
        task = getattr(flight, "task", None)
        if task in found:
            found.discard(task)
            parts.append(f"{task.get_name()}, for {(now - began) / 1e9:.1f} s:\n{_stack(task)}")
    parts += [f"{task.get_name()}:\n{_stack(task)}" for task in found]
    more = [f"... and {len(parts) - _MOST} more"] if len(parts) > _MOST else []
    return "\n".join(parts[:_MOST] + more)


def _stack(task: "asyncio.Task[object]") -> str:
    out = io.StringIO()
    task.print_stack(limit=20, file=out)
    return out.getvalue()
