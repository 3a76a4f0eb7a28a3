"""Where everything is: the stacks of all threads and tasks of a worker on an event loop, to the log.

Can go wrong: nothing; it only looks.
"""

import asyncio
import logging
import traceback
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from forkful.worker.net.address_words import in_words
from forkful.worker.process import stacks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from forkful.worker.eventloop.accounting import Accounting

logger = logging.getLogger("forkful.worker")

#: Where the objects are of whom each stands for one request, and says in its `str` which, and of whom.
_KNOWS: Final = frozenset(
    f"forkful.worker.{module}"
    for module in (
        "aio_datagram",
        "aio_protocol",
        "aio_stream",
        "http_exchange",
        "http_threads",
        "http_websocket",
        "http_wsgi",
    )
)
_MOST: Final = 50  # tasks told of; the oldest requests come first
_DEEPEST: Final = 50  # coroutines of each


def dump(who: object, loop: asyncio.AbstractEventLoop, accounting: "Accounting", service: object = None) -> None:
    """One record with all threads, one with the tasks. From any thread, for the loop's own may be blocked."""
    stacks.tell(who, (), partial(_serving, getattr(service, "peers", {})))
    text = tasks(loop, accounting)
    if text:
        logger.warning("%s: stacks of tasks\n%s", who, text)


def _serving(peers: "Mapping[int, str]", frame: "FrameType | None") -> str:
    """What a thread is busy with: a frame of ours knows it, or one of a protocol that is connected with a peer."""
    while frame is not None:
        served = frame.f_locals.get("self")
        if type(served).__module__ in _KNOWS:
            began = getattr(served, "_began", 0) or frame.f_locals.get("began", 0)
            what = f"datagram of {in_words(frame.f_locals['addr'])}" if "addr" in frame.f_locals else str(served)
            return what + (f" since {(monotonic_ns() - began) / 1e9:.3f} s" if began else "")
        if (peer := peers.get(id(served))) is not None:
            return f"connection of {peer}"
        frame = frame.f_back
    return ""


def tasks(loop: asyncio.AbstractEventLoop, accounting: "Accounting", *, flights_only: bool = False) -> str:
    """The tasks of requests in flight first, oldest first, each with its age; then the others."""
    now = monotonic_ns()
    found = asyncio.all_tasks(loop)
    parts: list[str] = []
    for flight, began in tuple(accounting.flights.items()):
        task = getattr(flight, "task", None)
        if task in found:
            found.discard(task)
            parts.append(f"{flight}, for {(now - began) / 1e9:.1f} s:\n{_stack(task)}")
    if not flights_only:
        parts += [f"{task.get_name()}:\n{_stack(task)}" for task in found]
    more = [f"... and {len(parts) - _MOST} more"] if len(parts) > _MOST else []
    return "\n".join(parts[:_MOST] + more)


def _stack(task: "asyncio.Task[object]") -> str:
    """All coroutines that it waits in, the innermost last; `Task.print_stack` knows only the outermost."""
    frames: list[traceback.FrameSummary] = []
    waiting: object = task.get_coro()
    while waiting is not None and len(frames) < _DEEPEST:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is None:
            break
        frames += traceback.extract_stack(frame, limit=1)
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return "".join(traceback.format_list(frames))
