"""Where everything is: the stacks of all threads and tasks of a worker on an event loop, to the log."""

import asyncio
import logging
import traceback
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from forkful.worker.eventloop.flight import Flight
from forkful.worker.process import stacks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from forkful.worker.eventloop.accounting import Accounting

logger = logging.getLogger("forkful.worker")

_MOST: Final = 50  # tasks told of; the oldest requests come first
_DEEPEST: Final = 50  # coroutines of each


def dump(who: object, loop: asyncio.AbstractEventLoop, accounting: "Accounting", service: object = None) -> None:
    """One record with all threads, one with the tasks. From any thread, for the loop's own may be blocked."""
    serving = getattr(service, "serving", {})
    stacks.tell(who, (), lambda ident, frame: _serving(serving.get(ident), getattr(service, "peers", {}), frame))
    text = tasks(loop, accounting)
    if text:
        logger.warning("%s: stacks of tasks\n%s", who, text)


def _serving(known: object, peers: "Mapping[int, str]", frame: "FrameType | None") -> str:
    """What a thread is busy with: `known`, or a frame is that of a request, or of a protocol that has a peer."""
    if known is not None:
        return _in_words(known)
    while frame is not None:
        served = frame.f_locals.get("self")
        if isinstance(served, Flight) and served.began:
            return _in_words(served)
        if (peer := peers.get(id(served))) is not None:
            return f"connection of {peer}"
        frame = frame.f_back
    return ""


def _in_words(flight: object) -> str:
    began = getattr(flight, "began", 0)
    return f"{flight} since {(monotonic_ns() - began) / 1e9:.3f} s" if began else str(flight)


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
